"""The programs for strigger that silence drained nodes, with stand-ins for scontrol and amtool."""

import subprocess
from pathlib import Path

_SLURM = Path(__file__).parents[2] / "deploy" / "slurm"
_ID = "0b1c"


def _asked(script: str, tmp_path: Path) -> list[str]:
    """Run a script for two nodes; return what it asks of amtool."""
    log = tmp_path / "log"
    stand_ins = {
        "scontrol": "[ \"$*\" = 'show hostnames n[1-2].x' ] && printf 'n1.x\\nn2.x\\n'",
        "amtool": f'echo "$*" >>{log}; [ "$2" != query ] || echo {_ID}',
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    subprocess.run(
        [_SLURM / script, "n[1-2].x"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "ALERTMANAGER": "http://am"},
        check=True,
        timeout=60,
    )
    return log.read_text().splitlines()


def test_each_drained_node_gets_a_silence_that_ends(tmp_path: Path) -> None:
    asked = _asked("silence.sh", tmp_path)

    rest = "--alertmanager.url=http://am --duration=72h --author=slurm --comment=drained in Slurm"
    assert asked == [f"silence add node={node} {rest}" for node in ("n1.x", "n2.x")]


def test_a_node_that_is_up_again_loses_the_silences_of_slurm_only(tmp_path: Path) -> None:
    asked = _asked("unsilence.sh", tmp_path)

    url = "--alertmanager.url=http://am"
    query, expire, *_ = asked
    assert query == f"silence query --quiet --created-by=slurm node=n1.x {url}"
    assert expire == f"silence expire {_ID} {url}"
