"""The root file system that containers boot: Debian 12 with systemd, Python and Slurm.

It is made once and kept outside of what git sees, under a name that its list of packages makes.
Knowledge: mmdebstrap(1).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

_CACHE = Path(__file__).parent.parent.parent / ".cache" / "system"
_SUITE = "bookworm"
# What a minimal machine has, what the package of the agent depends on, and what jobs need.
_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "procps", "iproute2",
    "python3", "python3-numpy", "python3-psutil",
    "slurmctld", "slurmd", "slurm-client", "munge",
)  # fmt: skip
_OPTIONS = (
    "--variant=minbase",
    # A machine that is thrown away need not wait for its disk.
    "--dpkgopt=force-unsafe-io",
    '--aptopt=Acquire::Languages "none"',
    "--aptopt=Acquire::Retries 3",
)
# Where the machine's own packages come from, if it is of the same suite.
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def root_file_system() -> Path:
    """Return its directory, made first where there is none yet."""
    recipe = " ".join((_SUITE, *_PACKAGES, *_OPTIONS))
    path = _CACHE / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    if not path.exists():
        _make(path)
    return path


def _make(path: Path) -> None:
    _CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    sources = [str(s) for s in _SOURCES if s.exists() and _SUITE in s.read_text()]
    argv = ("mmdebstrap", *_OPTIONS, f"--include={','.join(_PACKAGES)}", _SUITE)
    try:
        done = subprocess.run(
            [*argv, str(unfinished), *sources[:1]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(argv)}: {done.stderr[-3000:]}")
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
