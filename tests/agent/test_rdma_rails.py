"""Which ports with RDMA are rails, under which names and numbers."""

import os
import threading
from pathlib import Path

import pytest

from agent.rdma_node import RdmaNode
from agent.trees import Nic, RdmaPort, Tree, scenario
from railwatch.catalogue.rail import RAIL_PRESENT, RAIL_SPEED, RAIL_UP
from railwatch_agent.inventory import read_machine
from railwatch_agent.numbering import Book
from railwatch_agent.selection import find
from railwatch_agent.sources.infiniband import (
    PortWatch,
    read_ports,
)


def test_two_ports_of_an_hca_are_two_rails(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_two_ports", tmp_path / "node"))

    assert [(r.number, r.device, r.kind) for r in node.rails()] == [
        (0, "mlx5_0", "infiniband"),
        (1, "mlx5_0", "infiniband"),
    ]
    assert (node.sample(0), node.sample(1)) == ((4, 0), (8, 0))
    assert [node.values(RAIL_SPEED, n)[()] for n in (0, 1)] == [25e9, 6.25e9]


def test_a_rail_whose_rdma_device_is_gone_is_not_present(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    node.round()
    node.tree.remove_rdma("mlx5_0")

    assert node.values(RAIL_PRESENT) == {(): 0}
    assert [(r.labels, r.is_present) for r in node.rails()] == [(("0", "mlx5_0"), False)]


def test_numbers_that_were_given_to_network_devices_stay_when_rdma_comes(tmp_path: Path) -> None:
    """An inventory of a version that knew no RDMA devices."""
    (tmp_path / "state").mkdir()
    record = (
        '{"number": %d, "binding": "%s", "rule": "rdma", "netdev": "%s", "kind": "roce", '
        '"driver": "mlx5_core", "pci_address": "0000:3b:00.0", "numa_node": 0}'
    )
    records = (record % (4, "0000:3b:00.0", "a"), record % (2, "0000:3b:00.0/1", "b"))
    (tmp_path / "state" / "inventory.json").write_text(
        f'{{"format": 1, "is_settled": true, "rails": [{", ".join(records)}]}}'
    )
    tree = Tree(tmp_path / "node")
    for dev_port, name in ((0, "a"), (1, "b")):
        tree.add(Nic(name, pci="0000:3b:00.0", rdma="mlx4_0", dev_port=dev_port))
    node = RdmaNode(tmp_path, tree)

    assert [(r.number, r.netdev, r.rdma and r.rdma.number) for r in node.rails()] == [
        (2, "b", 2),
        (4, "a", 1),
    ]


def test_a_rail_keeps_its_number_when_ip_over_infiniband_is_unloaded(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_infiniband", tmp_path / "node"))
    before = node.rails()[0]
    tree = node.tree
    (tree.netdev("ib0")).unlink()

    after = node.rails()[0]
    assert (before.labels, before.netdev) == (after.labels, after.netdev)
    assert (after.is_present, after.ifindex) == (True, None)
    assert node.values(RAIL_UP) == {(): 1}


def test_a_virtual_function_is_no_rail(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("virtual_function", tmp_path / "node"))

    assert [rail.device for rail in node.rails()] == ["mlx5_0"]


def test_a_virtual_function_is_a_rail_to_the_guest_that_has_it(tmp_path: Path) -> None:
    """There it has no physfn: what is not known to be a part is a rail."""
    node = RdmaNode(tmp_path, scenario("mlx5_no_pma", tmp_path / "node"))

    assert len(node.rails()) == 1


def test_the_members_of_a_bond_are_rails_and_the_bond_is_not(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("bond", tmp_path / "node"))

    assert [(r.device, r.netdev) for r in node.rails()] == [
        ("mlx5_bond_0", "eth0"),
        ("eth1", "eth1"),
    ]


def test_rdma_in_software_is_no_rail_of_its_own(tmp_path: Path) -> None:
    """Soft-RoCE over a device without hardware has none either."""
    tree = scenario("no_rdma", tmp_path / "node")
    tree.add_rdma("rxe0", "0000:05:00.0", RdmaPort())
    (tree.sysfs / "class/infiniband/rxe0/device").unlink()
    (tree.sysfs / "devices/pci0000:00/0000:00:01.0/0000:05:00.0/infiniband").rename(
        tree.sysfs / "devices" / "virtual_infiniband"
    )
    link = tree.sysfs / "class/infiniband/rxe0"
    link.unlink()
    link.symlink_to(tree.sysfs / "devices" / "virtual_infiniband" / "rxe0")

    assert [rail.device for rail in RdmaNode(tmp_path, tree).rails()] == ["eth0"]


@pytest.mark.parametrize(
    ("device", "number"),
    [("mlx4_0", 1), ("mlx4_0/2", 2), ("a", 2), ("0000:3b:00.0", 1), ("0000:3b:00.0/1", 2)],
)
def test_a_port_of_two_can_be_named(tmp_path: Path, device: str, number: int) -> None:
    tree = Tree(tmp_path)
    for dev_port, name in ((1, "a"), (0, "b")):
        tree.add(Nic(name, pci="0000:3b:00.0", rdma="mlx4_0", dev_port=dev_port))
    machine = read_machine(tree.sysfs, Book(), (), None)
    found = find(machine.ports, device)

    assert found is not None
    assert found.rdma is not None
    assert found.rdma.number == number


def test_a_node_whose_rdma_ports_were_never_up_has_its_default_route(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "node")
    tree.add(Nic("eth0", pci="0000:05:00.0", driver="igb"))
    tree.add(Nic("eth1", pci="0000:3b:00.0", rdma="mlx5_0", has_carrier=False))
    tree.route("eth0")

    assert [rail.device for rail in RdmaNode(tmp_path, tree).rails()] == ["eth0"]


def test_a_port_whose_state_is_never_answered_is_a_rail_and_delays_nobody_twice(
    tmp_path: Path,
) -> None:
    tree = scenario("mlx5_two_ports", tmp_path)
    state = tree.sysfs / "class/infiniband/mlx5_0/ports/1/state"
    state.unlink()
    os.mkfifo(state)
    watch = PortWatch(tree.sysfs, patience_seconds=0.05)
    ports = read_ports(tree.sysfs)
    first, threads = watch.were_up(ports), threading.active_count()
    second = watch.were_up(ports)

    assert first == second == frozenset(ports)
    assert threading.active_count() == threads
    os.close(os.open(state, os.O_WRONLY))
