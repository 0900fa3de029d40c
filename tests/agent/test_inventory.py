"""Which devices are rails, under which numbers, and how those last."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from agent.fakes import FakeClock
from agent.trees import Nic, Tree, two_rails
from railwatch.catalogue.metric import ReadFailure
from railwatch_agent.inventory import SETTLE_SECONDS, Inventory, Rail
from railwatch_agent.numbering import (
    BookFile,
    parse_book,
)
from railwatch_agent.selection import Kind, Rule
from railwatch_agent.settings import RailSettings


class Node:
    """A tree, and the inventory of an agent that can be started anew."""

    def __init__(self, root: Path, *configured: RailSettings, tree: Tree | None = None) -> None:
        self.tree = Tree(root / "node") if tree is None else tree
        self.state = root / "state"
        self.clock = FakeClock()
        self.configured = configured
        self.restart()

    def restart(self) -> None:
        """Forget what was only in memory."""
        self.inventory = Inventory(
            sysfs=self.tree.sysfs,
            procfs=self.tree.procfs,
            configured=self.configured,
            book_file=BookFile(self.state),
            clock=self.clock,
        )

    def scan(self) -> tuple[Rail, ...]:
        """Return the rails after a scan without failures."""
        assert list(self.inventory.collect()) == []
        return self.inventory.rails()

    def numbers(self) -> dict[str, int]:
        """Return the numbers by network device after a scan."""
        return {rail.netdev: rail.number for rail in self.scan()}

    def settle(self) -> None:
        """Let a first boot be over."""
        self.scan()
        self.clock.advance(SETTLE_SECONDS)
        self.scan()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path, tree=two_rails(tmp_path / "node"))


def test_rdma_capable_devices_are_rails_by_pci_order(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:af:00.0", rdma="mlx5_9"))
    node.tree.add(Nic("eth1", pci="0000:3b:00.0", rdma="mlx5_10"))

    assert node.numbers() == {"eth1": 0, "eth0": 1}


def test_what_a_rail_is(node: Node) -> None:
    rail = node.scan()[1]

    assert rail.labels == ("1", "mlx5_1")
    assert (rail.kind, rail.selected_by) == (Kind.ROCE, Rule.RDMA)
    assert (rail.driver, rail.pci_address, rail.numa_node) == ("mlx5_core", "0000:af:00.0", 1)


def test_a_node_without_rdma_has_its_default_route_as_rail(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:05:00.0"))
    node.tree.add(Nic("bond0"))
    node.tree.route("bond0", "eth0")

    assert [(r.netdev, r.selected_by) for r in node.scan()] == [("bond0", Rule.DEFAULT_ROUTE)]


def test_a_node_without_a_default_route_has_its_physical_devices_as_rails(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:05:00.0"))
    node.tree.add(Nic("eth1", pci="0000:06:00.0", is_admin_up=False))
    node.tree.add(Nic("docker0"))

    assert [(r.netdev, r.selected_by) for r in node.scan()] == [("eth0", Rule.PHYSICAL)]


def test_a_node_with_nothing_has_no_rails_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(tmp_path)

    assert node.scan() == node.scan() == ()
    assert [r.levelno for r in caplog.records if "no rail" in r.message] == [logging.WARNING]


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            Nic("vf0", pci="0000:3b:00.2", rdma="mlx5_2", is_virtual_function=True),
            id="virtual function",
        ),
        pytest.param(
            Nic("rep0", pci="0000:3b:00.0", rdma="mlx5_0", physical_port_name="pf0vf3"),
            id="representor",
        ),
        pytest.param(
            Nic("rep0", pci="0000:3b:00.0", rdma="mlx5_0", physical_port_name="c1pf0sf88"),
            id="representor of a subfunction",
        ),
        pytest.param(
            Nic("sf0", pci="0000:3b:00.0/mlx5_core.sf.2", rdma="mlx5_2"), id="subfunction"
        ),
        pytest.param(
            Nic("ib0.8001", pci="0000:3b:00.0", link_type=32, is_child=True), id="IPoIB child"
        ),
        pytest.param(Nic("rail0.100"), id="VLAN"),
    ],
)
def test_what_shares_a_port_is_no_rail(node: Node, part: Nic) -> None:
    node.tree.add(part)

    assert node.numbers() == {"rail0": 0, "rail1": 1}


@pytest.mark.parametrize(
    "named",
    [
        Nic("vf0", pci="0000:3b:00.2", rdma="mlx5_2", is_virtual_function=True),
        Nic("rail0.100"),
        Nic("bond0"),
    ],
    ids=["virtual function", "VLAN", "bond"],
)
def test_what_is_configured_is_a_rail_whatever_it_is(tmp_path: Path, named: Nic) -> None:
    node = Node(tmp_path, RailSettings(named.name), tree=two_rails(tmp_path / "node"))
    node.tree.add(named)

    assert node.numbers() == {named.name: 0}


def test_an_uplink_that_is_its_own_representor_is_a_rail(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:3b:00.0", rdma="mlx5_0", physical_port_name="p0"))

    assert node.numbers() == {"eth0": 0}


def test_two_ports_of_one_function_are_two_rails(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:3b:00.0", rdma="mlx4_0"))
    node.tree.add(Nic("eth1", pci="0000:3b:00.0", rdma="mlx4_0", dev_port=1))

    assert node.numbers() == {"eth0": 0, "eth1": 1}


def test_a_nic_that_is_gone_keeps_its_number_and_comes_back_under_another_name(node: Node) -> None:
    node.settle()
    node.tree.remove("rail0")
    gone = node.scan()
    node.tree.add(Nic("renamed", pci="0000:3b:00.0", rdma="mlx5_0"))
    back = node.scan()

    assert [(r.number, r.netdev, r.ifindex is None) for r in gone] == [
        (0, "rail0", True),
        (1, "rail1", False),
    ]
    assert [(r.number, r.netdev, r.ifindex is None) for r in back] == [
        (0, "renamed", False),
        (1, "rail1", False),
    ]


def test_a_nic_that_is_renamed_keeps_its_number_and_stays_present(node: Node) -> None:
    """As udev does at boot: the same index under another name."""
    before = node.scan()[0]
    node.tree.rename("rail0", "ens1f0np0")
    after = node.scan()[0]

    assert (after.netdev, after.is_present) == ("ens1f0np0", True)
    assert replace(after, netdev="rail0") == before


def test_nics_that_swap_their_names_keep_their_numbers(node: Node) -> None:
    node.scan()
    for name, to in (("rail0", "spare"), ("rail1", "rail0"), ("spare", "rail1")):
        node.tree.rename(name, to)

    assert [(r.number, r.netdev, r.pci_address) for r in node.scan()] == [
        (0, "rail1", "0000:3b:00.0"),
        (1, "rail0", "0000:af:00.0"),
    ]


def test_another_card_in_the_slot_of_one_that_died_is_the_same_rail(node: Node) -> None:
    node.settle()
    node.tree.remove("rail0")
    node.tree.remove_function("0000:3b:00.0")
    node.scan()
    node.tree.add(Nic("eth7", pci="0000:3b:00.0", rdma="bnxt_re0", driver="bnxt_en"))

    assert [(r.number, r.device, r.driver) for r in node.scan()] == [
        (0, "bnxt_re0", "bnxt_en"),
        (1, "mlx5_1", "mlx5_core"),
    ]


def test_a_driver_that_is_loaded_anew_leaves_the_number(node: Node) -> None:
    before = node.scan()[0]
    node.tree.remove("rail0")
    node.tree.add(Nic("rail0", pci="0000:3b:00.0", rdma="mlx5_0"))
    after = node.scan()[0]

    assert (after.labels, after.is_present) == (before.labels, True)
    assert after.ifindex != before.ifindex


def test_numbers_are_kept_over_a_restart(node: Node) -> None:
    node.settle()
    node.tree.remove("rail0")
    node.tree.add(Nic("rail2", pci="0000:10:00.0", rdma="mlx5_2"))
    before = node.scan()
    node.restart()

    assert node.scan() == before
    assert node.numbers() == {"rail0": 0, "rail1": 1, "rail2": 2}


def test_a_number_is_never_given_again(node: Node) -> None:
    node.settle()
    node.tree.remove("rail1")
    node.tree.add(Nic("new", pci="0000:d8:00.0", rdma="mlx5_2"))

    assert node.numbers() == {"rail0": 0, "rail1": 1, "new": 2}


def test_on_a_first_boot_numbers_follow_pci_order_however_slowly_drivers_come(
    tmp_path: Path,
) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("late", pci="0000:af:00.0", rdma="mlx5_1"))
    first = node.numbers()
    node.restart()
    node.tree.add(Nic("later", pci="0000:3b:00.0", rdma="mlx5_0"))

    assert first == {"late": 0}
    assert node.numbers() == {"later": 0, "late": 1}


def test_after_a_first_boot_a_new_nic_gets_a_new_number(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("early", pci="0000:af:00.0", rdma="mlx5_1"))
    node.settle()
    node.tree.add(Nic("new", pci="0000:3b:00.0", rdma="mlx5_0"))

    assert node.numbers() == {"early": 0, "new": 1}


def test_rails_that_are_all_gone_do_not_give_way_to_the_default_route(node: Node) -> None:
    node.settle()
    node.tree.remove("rail0")
    node.tree.remove("rail1")

    assert [(r.netdev, r.ifindex) for r in node.scan()] == [("rail0", None), ("rail1", None)]


def test_rdma_that_comes_later_takes_the_place_of_the_default_route(tmp_path: Path) -> None:
    """The management port was rail 0 for want of a better one; it is not a rail that died."""
    node = Node(tmp_path)
    node.tree.add(Nic("mgmt0", pci="0000:05:00.0"))
    node.tree.route("mgmt0")
    node.settle()
    node.tree.add(Nic("rail0", pci="0000:3b:00.0", rdma="mlx5_0"))

    assert node.numbers() == {"rail0": 0}


def test_a_default_route_that_is_away_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:05:00.0"))
    node.tree.add(Nic("eth1", pci="0000:06:00.0"))
    node.tree.route("eth0")
    before = node.scan()
    node.tree.route()

    assert node.scan() is before


def test_a_default_route_that_moves_takes_the_rail_with_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.tree.add(Nic("eth0", pci="0000:05:00.0"))
    node.tree.add(Nic("eth1", pci="0000:06:00.0"))
    node.tree.route("eth0")
    node.settle()
    node.tree.route("eth1")

    assert [rail.netdev for rail in node.scan()] == ["eth1"]


def test_another_nic_under_the_name_of_one_that_is_gone_is_another_rail(node: Node) -> None:
    node.settle()
    node.tree.remove("rail0")
    node.tree.add(Nic("rail0", pci="0000:d8:00.0", rdma="mlx5_7"))

    assert [(r.number, r.netdev, r.pci_address, r.ifindex is None) for r in node.scan()] == [
        (0, "rail0", "0000:3b:00.0", True),
        (1, "rail1", "0000:af:00.0", False),
        (2, "rail0", "0000:d8:00.0", False),
    ]


def test_rails_that_did_not_change_are_the_same_object(node: Node) -> None:
    """The sampler tells by identity whether it has anything to do."""
    assert node.scan() is node.scan()


def test_configured_rails_are_the_only_ones_in_their_order(tmp_path: Path) -> None:
    node = Node(
        tmp_path,
        RailSettings("mgmt0"),
        RailSettings("rail0", line_rate_bytes_per_second=1e9),
        tree=two_rails(tmp_path / "node"),
    )

    rails = node.scan()

    assert [(r.number, r.netdev, r.selected_by, r.line_rate_override) for r in rails] == [
        (0, "mgmt0", Rule.CONFIGURED, None),
        (1, "rail0", Rule.CONFIGURED, 1e9),
    ]


def test_a_configured_number_wins(tmp_path: Path) -> None:
    node = Node(tmp_path, tree=two_rails(tmp_path / "node"))
    node.settle()
    node.configured = (RailSettings("rail0"), RailSettings("rail1", rail=0))
    node.restart()

    assert node.numbers() == {"rail1": 0, "rail0": 1}


@pytest.mark.parametrize("device", ["rail1", "mlx5_1", "0000:af:00.0"])
def test_a_rail_can_be_named_in_three_ways(tmp_path: Path, device: str) -> None:
    node = Node(tmp_path, RailSettings(device), tree=two_rails(tmp_path / "node"))

    assert node.numbers() == {"rail1": 0}


def test_a_configured_rail_that_never_was_there_is_not_present(tmp_path: Path) -> None:
    node = Node(tmp_path, RailSettings("eth7", rail=7))

    assert [(r.number, r.netdev, r.ifindex) for r in node.scan()] == [(7, "eth7", None)]


def test_a_configured_rail_keeps_its_number_when_it_first_comes(tmp_path: Path) -> None:
    node = Node(tmp_path, RailSettings("rail9"), RailSettings("rail0"))
    node.tree.add(Nic("rail0", pci="0000:3b:00.0"))
    before = node.numbers()
    node.tree.add(Nic("rail9", pci="0000:10:00.0"))

    assert before == node.numbers() == {"rail9": 0, "rail0": 1}
    assert len(parse_book((node.state / "inventory.json").read_text()).records) == 2


def test_a_configured_rail_that_is_gone_keeps_its_number(tmp_path: Path) -> None:
    node = Node(tmp_path, RailSettings("rail1", rail=5), tree=two_rails(tmp_path / "node"))
    node.scan()
    node.tree.remove("rail1")
    node.restart()

    assert [(r.labels, r.ifindex, r.pci_address) for r in node.scan()] == [
        (("5", "mlx5_1"), None, "0000:af:00.0")
    ]


def test_what_cannot_be_listed_leaves_the_rails_as_they_were(node: Node, tmp_path: Path) -> None:
    before = node.scan()
    (node.tree.sysfs / "class").rename(tmp_path / "class")

    assert [type(reading) for reading in node.inventory.collect()] == [ReadFailure]
    assert node.inventory.rails() is before


_DAMAGES = {
    "half": '{"format": 1, "rails": [',
    "other_format": '{"format": 2, "is_settled": true, "rails": []}',
    "not_an_object": "[]",
    "no_rails": '{"format": 1, "is_settled": true}',
    "not_a_rail": '{"format": 1, "is_settled": true, "rails": [{"number": 0}]}',
    "empty": "",
}


@pytest.mark.parametrize("damage", _DAMAGES.values(), ids=_DAMAGES.keys())
def test_a_damaged_book_is_moved_aside_and_begun_anew(
    node: Node, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    node.state.mkdir()
    (node.state / "inventory.json").write_text(damage)

    assert node.numbers() == {"rail0": 0, "rail1": 1}
    assert (node.state / "inventory.json.refused").read_text() == damage
    assert sum("is damaged" in record.message for record in caplog.records) == 1
    assert len(parse_book((node.state / "inventory.json").read_text()).records) == 2


def test_a_book_that_cannot_be_written_is_said_once(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.state.write_text("a file in place of the directory")
    node.scan()
    node.scan()

    assert sum("cannot be written" in record.message for record in caplog.records) == 1


def test_a_book_that_could_not_be_written_is_written_later(node: Node) -> None:
    node.state.write_text("a file in place of the directory")
    node.scan()
    node.state.unlink()
    node.scan()

    assert len(parse_book((node.state / "inventory.json").read_text()).records) == 2


def test_a_book_that_cannot_be_read_is_not_replaced(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a directory here; for others it may be a permission, and hold the numbers."""
    (node.state / "inventory.json").mkdir(parents=True)
    node.scan()
    node.scan()

    assert sum("cannot be read" in record.message for record in caplog.records) == 1
    assert list(node.state.iterdir()) == [node.state / "inventory.json"]


def _book(node: Node) -> Path:
    return node.state / "inventory.json"


def test_a_book_that_another_has_replaced_is_read_again(node: Node) -> None:
    node.settle()
    node.tree.remove("rail0")
    node.scan()
    others = BookFile(node.state)
    book = others.load()
    others.replace(replace(book, records=book.records[1:]))

    without = node.numbers()
    written = [record.number for record in parse_book(_book(node).read_text()).records]
    node.tree.add(Nic("new", pci="0000:d8:00.0", rdma="mlx5_2"))

    assert (without, written) == ({"rail1": 1}, [1])
    assert node.numbers() == {"new": 0, "rail1": 1}


def test_what_another_has_written_is_not_overwritten_by_what_was_found_meanwhile(
    node: Node,
) -> None:
    """Otherwise what was forgotten would come back."""
    node.settle()
    mine, others = BookFile(node.state), BookFile(node.state)
    before = mine.load()
    forgotten = replace(others.load(), records=before.records[1:])
    others.replace(forgotten)

    assert mine.write(replace(before, is_settled=False)) is False
    assert mine.load() == forgotten


def test_a_book_that_another_has_damaged_leaves_the_numbers_as_they_are(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.settle()
    good = _book(node).read_text()
    _book(node).write_text(good[:-20])
    node.tree.remove("rail0")

    assert node.numbers() == {"rail0": 0, "rail1": 1}
    assert parse_book(_book(node).read_text()) == parse_book(good)
    assert sum("is damaged" in record.message for record in caplog.records) == 1


def test_a_book_that_was_taken_away_is_not_missed_by_a_running_agent(node: Node) -> None:
    node.settle()
    _book(node).unlink()
    node.tree.add(Nic("new", pci="0000:10:00.0", rdma="mlx5_2"))

    assert node.numbers() == {"rail0": 0, "rail1": 1, "new": 2}
    assert len(parse_book(_book(node).read_text()).records) == 3


def test_a_book_that_is_replaced_can_be_read_by_whom_could_read_it_before(node: Node) -> None:
    node.scan()
    _book(node).chmod(0o640)
    before = _book(node).stat()
    others = BookFile(node.state)
    others.replace(others.load())
    after = _book(node).stat()

    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
