"""`railwatch-agent forget`: which rail is meant, what is refused, and the agent beside it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.program import Program, run_command
from agent.trees import Nic, Tree, two_rails
from railwatch_agent.forgetting import ForgetError, find_record, forget
from railwatch_agent.inventory import Machine, read_machine
from railwatch_agent.numbering import Book, Record
from railwatch_agent.selection import Kind, Rule
from railwatch_agent.settings import RailSettings

_NOTHING = Machine((), None)


def _record(number: int, binding: str, netdev: str, rdma: str | None = None) -> Record:
    pci_address = binding.partition("/")[0] if ":" in binding else None
    return Record(number, binding, Rule.RDMA, netdev, Kind.ROCE, None, pci_address, None, rdma)


_BOOK = Book(
    (
        _record(0, "0000:3b:00.0", "eth0", "mlx4_0"),
        _record(1, "0000:3b:00.0/1", "eth1", "mlx4_0"),
        _record(2, "0000:af:00.0", "eth2", "mlx5_0"),
        _record(7, "0000:d8:00.0", "eth2", "mlx5_1"),
    ),
    is_settled=True,
)


@pytest.mark.parametrize(
    ("which", "number"),
    [
        ("7", 7),
        ("0000:af:00.0", 2),
        ("0000:3b:00.0", 0),
        ("0000:3b:00.0/1", 1),
        ("mlx5_1", 7),
        ("eth1", 1),
    ],
)
def test_a_rail_is_named_by_number_address_or_device(which: str, number: int) -> None:
    assert find_record(_BOOK, which).number == number


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("3", "no rail '3' is remembered; there are 0:mlx4_0, 1:mlx4_0, 2:mlx5_0, 7:mlx5_1"),
        ("eth", "no rail 'eth' is remembered"),
        ("eth2", "names the rails 2, 7"),
        ("mlx4_0", "names the rails 0, 1"),
    ],
)
def test_what_names_no_rail_or_several_is_refused(which: str, words: str) -> None:
    with pytest.raises(ForgetError, match=words):
        find_record(_BOOK, which)


def test_what_is_gone_is_forgotten_and_the_others_keep_their_numbers() -> None:
    found = forget(_BOOK, "2", _NOTHING, ())

    assert [record.number for record in found.book.records] == [0, 1, 7]
    assert (found.record.number, found.next_number) == (2, None)


def test_who_forgets_within_a_first_boot_ends_it() -> None:
    """Or else the rails behind the one that is forgotten would move up."""
    found = forget(replace(_BOOK, is_settled=False), "2", _NOTHING, ())

    assert found.book.is_settled


def test_what_is_there_is_found_again_under_the_lowest_free_number(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.add(Nic("eth2", pci="0000:d8:00.0", rdma="mlx5_1"))
    machine = read_machine(tree.sysfs, _BOOK, (), None)

    assert forget(_BOOK, "7", machine, ()).next_number == 3


def test_a_rail_that_is_configured_is_found_again() -> None:
    book = Book((_record(0, "eth7", "eth7"),))

    assert forget(book, "0", _NOTHING, [RailSettings("eth7")]).next_number == 0


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return two_rails(tmp_path / "node")


def test_a_running_agent_forgets_too(tmp_path: Path, tree: Tree) -> None:
    with Program(tmp_path, tree) as agent:
        tree.remove("rail0")
        agent.wait_for_value(0, "railwatch_rail_present", rail="0")
        done = run_command("forget", "mlx5_0", "--config", str(agent.config))
        agent.wait_for_value(None, "railwatch_rail_present", rail="0")

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "forgotten: rail 0: device=mlx5_0 pci_address=0000:3b:00.0\n"
        assert agent.value("railwatch_rail_present", rail="1") == 1
        numbers = [r["number"] for r in json.loads(_book(agent).read_text())["rails"]]
        assert numbers == [1]


def _book(agent: Program) -> Path:
    return agent.state / "inventory.json"


def test_a_rail_that_is_there_is_forgotten_by_force_only(tmp_path: Path, tree: Tree) -> None:
    with Program(tmp_path, tree) as agent:
        config = ("--config", str(agent.config))
        before = _book(agent).read_text()
        refused = run_command("forget", "1", *config)
        kept = _book(agent).read_text()
        forced = run_command("forget", "1", "--force", *config)

        assert (refused.returncode, refused.stdout) == (1, "")
        assert "rail 1: device=mlx5_1 pci_address=0000:af:00.0 is there" in refused.stderr
        assert kept == before
        assert (forced.returncode, forced.stderr) == (0, "")
        assert forced.stdout.splitlines()[1] == "found again: as rail 1"
        agent.wait_until(
            lambda: len(json.loads(_book(agent).read_text())["rails"]) == 2, "its return"
        )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no rail '0' is remembered; there are none"),
        ("{", "the inventory is damaged"),
    ],
    ids=["no inventory", "damaged"],
)
def test_without_an_inventory_one_line_says_so(
    tmp_path: Path, tree: Tree, content: str | None, words: str
) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'[paths]\nsysfs = "{tree.sysfs}"\nprocfs = "{tree.procfs}"\nstate = "{tmp_path}"\n'
    )
    if content is not None:
        (tmp_path / "inventory.json").write_text(content)
    done = run_command("forget", "0", "--config", str(config))

    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert content is None or (tmp_path / "inventory.json").read_text() == content
