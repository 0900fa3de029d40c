r"""Lays out the files of a scenario, so that tests, or an agent that is started by hand, read them.

    python tests/agent/unpack.py mlx5_roce /tmp/node
    railwatch-agent check --paths.sysfs /tmp/node/sys --paths.procfs /tmp/node/proc

A scenario is a directory of `testdata`: `node.tree` is the node, `after.tree`, where there is one,
what has changed a while later, and `exposition.prom` what a scrape shows in the end. All scenarios
have what is in `host.tree` besides. The files follow the kernel's documented layout
(Documentation/ABI/stable/sysfs-class-infiniband, testing/sysfs-class-net and -statistics,
testing/sysfs-bus-pci, PCI/sysfs-pci, proc_pid_net(5)); their numbers are made up.

In a `.tree` a line in brackets is a directory, counted from the root of the node, and each line
below it something in it:

    # says what the scenario is
    [sys/class/net/eth0]
    mtu = 1500              a file; \n and \t are what they are elsewhere, a last \n is added
    device -> sys/devices/x a link to another place in the node
    bonding_slave/          an empty directory
    carrier ! EINVAL        a file that the driver does not let read
    speed -                 gone, with all that is below it (in after.tree)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTDATA = Path(__file__).with_name("testdata")

# A plain file cannot refuse to be read. The kernel's own file of a speed that there is not does.
_REFUSING = {"EINVAL": Path("/sys/class/net/lo/speed")}


def unpack(text: str, root: Path) -> None:
    """Lay out below *root* what a `.tree` holds; files that are there are written in place."""
    directory = root
    for line in text.splitlines():
        if line.startswith("["):
            directory = root / line.strip("[]")
        elif line and not line.startswith("#"):
            directory.mkdir(parents=True, exist_ok=True)
            _put(line, directory, root)


def _put(line: str, directory: Path, root: Path) -> None:
    if line.endswith("/"):
        (directory / line).mkdir()
    elif line.endswith(" -"):
        _take_away(directory / line.removesuffix(" -"), root)
    elif " -> " in line:
        name, _, target = line.partition(" -> ")
        (directory / name).symlink_to(os.path.relpath(root / target, directory))
    elif " ! " in line:
        name, _, code = line.partition(" ! ")
        (directory / name).symlink_to(_REFUSING[code])
    else:
        name, sign, content = line.partition(" =")
        if not sign:
            raise ValueError(f"neither a file nor a link nor a directory: {line!r}")
        content = content.removeprefix(" ").replace(r"\n", "\n").replace(r"\t", "\t")
        (directory / name).write_text(f"{content}\n", encoding="ascii")


def _take_away(path: Path, root: Path) -> None:
    """Move *path* out of the node; a file that was removed could leave its inode to another."""
    aside = root / "gone"
    aside.mkdir(exist_ok=True)
    path.rename(aside / str(len(list(aside.iterdir()))))


def unpack_scenario(name: str, root: Path) -> None:
    """Lay out the node of a scenario below *root*."""
    for tree in (TESTDATA / "host.tree", TESTDATA / name / "node.tree"):
        unpack(tree.read_text(encoding="ascii"), root)


def main(arguments: list[str]) -> int:
    """Unpack a scenario for a person."""
    names = sorted(path.parent.name for path in TESTDATA.glob("*/node.tree"))
    if len(arguments) != 2 or arguments[0] not in names:
        sys.stderr.write(f"unpack.py SCENARIO DIRECTORY\nscenarios: {' '.join(names)}\n")
        return 1
    unpack_scenario(arguments[0], Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
