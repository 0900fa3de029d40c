"""Builds the stand-in with gcc against the official nvml.h of the package nvidia-nvml-dev."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from importlib.metadata import files
from pathlib import Path

from support.nvml.header import header

_SOURCES = Path(__file__).parent / "library"
_CACHE = Path(__file__).parents[3] / "build" / "nvml"
_FLAGS = ("-std=c11", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")
NAME = "libnvidia-ml.so.1"


def build(directory: Path = _CACHE, without: Iterable[str] = ()) -> Path:
    """The folder that holds the library, built unless it is there already.

    *without* names symbols that the library lacks, as those of older drivers do.
    """
    symbols = _version_script(without)
    folder = directory / _fingerprint(symbols)
    if not (folder / NAME).exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as work:
            _compile(Path(work), symbols)
            folder.mkdir(exist_ok=True)
            (Path(work) / NAME).replace(folder / NAME)
    return folder


def _compile(work: Path, symbols: str) -> None:
    (work / "layout.h").write_text(header())
    (work / "symbols.map").write_text(symbols)
    command = ["gcc", *_FLAGS, f"-Wl,-soname,{NAME}", f"-Wl,--version-script={work}/symbols.map"]
    command += [f"-I{work}", f"-I{_nvml_header().parent}", "-o", str(work / NAME)]
    subprocess.run([*command, *map(str, _sources())], check=True)


def _sources() -> list[Path]:
    return sorted(_SOURCES.glob("*.c"))


def _nvml_header() -> Path:
    found = [file for file in files("nvidia-nvml-dev") or () if file.name == "nvml.h"]
    return Path(os.fspath(found[0].locate()))


def _version_script(without: Iterable[str]) -> str:
    """NVML's symbols, and the integral for those who compare it with the Python one."""
    hidden = "".join(f" {symbol};" for symbol in sorted(without))
    return f"{{ global: nvml*; integral; local:{hidden} *; }};\n"


def _fingerprint(symbols: str) -> str:
    digest = hashlib.sha256((header() + symbols + repr(_FLAGS)).encode())
    for path in [*_sources(), *sorted(_SOURCES.glob("*.h")), _nvml_header()]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
