"""The scenarios of `testdata`: what a scrape shows of each node, in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.program import run_command
from agent.rdma_node import RdmaNode
from agent.trees import Tree, scenario
from agent.unpack import TESTDATA, unpack

_SCENARIOS = sorted(path.parent.name for path in TESTDATA.glob("*/node.tree"))


def _exposition(name: str, root: Path) -> str:
    node = RdmaNode(root, scenario(name, root / "node"))
    text = node.exposition()
    after = TESTDATA / name / "after.tree"
    if not after.exists():
        return text
    node.tree.apply(after.read_text())
    return node.exposition()


@pytest.mark.parametrize("name", _SCENARIOS)
def test_the_exposition_of_a_scenario_is_the_golden_one(tmp_path: Path, name: str) -> None:
    """`make golden` rewrites it; the difference is to be read."""
    text = _exposition(name, tmp_path)

    path = TESTDATA / name / "exposition.prom"
    if "RAILWATCH_GOLDEN" in os.environ:
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", _SCENARIOS)
def test_promtool_finds_nothing_to_say(name: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=(TESTDATA / name / "exposition.prom").read_text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_person_can_unpack_a_scenario_and_point_the_agent_at_it(tmp_path: Path) -> None:
    script = TESTDATA.parent / "unpack.py"
    subprocess.run([sys.executable, script, "bond", tmp_path], check=True, timeout=30)
    flags = ("--paths.sysfs", f"{tmp_path}/sys", "--paths.procfs", f"{tmp_path}/proc")
    done = run_command("check", *flags, "--paths.state", f"{tmp_path}/state")

    assert done.stdout.splitlines() == [
        "rail 0: device=mlx5_bond_0 kind=roce pci_address=0000:3b:00.0 selected_by=rdma present=1",
        "rail 1: device=eth1 kind=roce pci_address=0000:3b:00.1 selected_by=rdma present=1",
        "ok",
    ]


def test_a_scenario_that_there_is_not_is_told_the_others(tmp_path: Path) -> None:
    script = TESTDATA.parent / "unpack.py"
    done = subprocess.run(
        [sys.executable, script, "no_such", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "mlx5_roce" in done.stderr


def test_a_tree_says_files_links_directories_and_what_is_gone(tmp_path: Path) -> None:
    unpack("# why\n\n[a/b]\nc = 1\\n2\nd -> a/b/c\ne/\nf =\ng ! EINVAL\n", tmp_path)
    (tmp_path / "a" / "b" / "c").chmod(0o600)
    before = (tmp_path / "a" / "b" / "c").read_text(), (tmp_path / "a" / "b" / "d").read_text()
    unpack("[a]\nb -\n[a/b]\nc = 3\n", tmp_path)

    assert before == ("1\n2\n", "1\n2\n")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c"]


def test_a_file_that_is_there_is_written_in_place(tmp_path: Path) -> None:
    """A descriptor that is open sees it, as with a counter of the kernel."""
    unpack("[a]\nb = 1\n", tmp_path)
    with (tmp_path / "a" / "b").open() as file:
        unpack("[a]\nb = 2\n", tmp_path)

        assert file.read() == "2\n"


@pytest.mark.parametrize("line", ["nonsense", "x ! EWHATEVER"])
def test_a_line_that_means_nothing_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        unpack(f"[a]\n{line}\n", tmp_path)


def test_a_tree_goes_on_with_the_devices_of_its_scenario(tmp_path: Path) -> None:
    tree = scenario("bond", tmp_path)
    index = int((tree.netdev("eth1") / "ifindex").read_text())

    assert Tree(tmp_path)._newest_index == index
