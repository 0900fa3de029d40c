"""The rails' neighbours: whose word counts, under which names, and what is missing."""

import logging
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.fakes import rail
from agent.program import Program
from agent.readings import Readings
from agent.trees import two_rails
from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RAIL_NEIGHBOR_INFO
from railwatch_agent.collectors.neighbor import NeighborCollector
from railwatch_agent.inventory import Rail
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.infiniband import LinkLayer, RdmaPort
from railwatch_agent.sources.lldp import LldpUnavailableError
from railwatch_agent.sources.topology import Neighbor

_LEAF = Neighbor("leaf1", "swp1")
_SPINE = Neighbor("spine1", "swp9")


@dataclass
class _Plan:
    """A topology file."""

    neighbors: Mapping[str, Neighbor] = field(default_factory=dict)
    error: Exception | None = None

    def read(self) -> Mapping[str, Neighbor]:
        """Return them, or raise."""
        if self.error is not None:
            raise self.error
        return self.neighbors


@dataclass
class _Ears(_Plan):
    """An lldpd; `asked` is what it was asked for last."""

    asked: set[str] = field(default_factory=set)

    def read(self, interfaces: Collection[str] = ()) -> Mapping[str, Neighbor]:
        """Return them, or raise."""
        self.asked = {*interfaces}
        return super().read()


def _collector(
    *rails: Rail, file: _Plan | None = None, lldp: _Ears | None = None
) -> NeighborCollector:
    return NeighborCollector(lambda: rails, ways=lambda: (file, lldp))


def _neighbors(readings: Readings) -> dict[str, tuple[str, ...]]:
    samples = [r for r in readings if isinstance(r, Sample)]
    assert {(s.spec, s.value) for s in samples} <= {(RAIL_NEIGHBOR_INFO, 1)}
    return {sample.labels[0]: sample.labels[1:] for sample in samples}


def _failures(readings: Readings) -> list[str]:
    return [f"{r.what}: {r.reason}" for r in readings if isinstance(r, ReadFailure)]


def _port(number: int = 1, netdev: str | None = None) -> RdmaPort:
    return RdmaPort(
        device="mlx5_0",
        number=number,
        link_layer=LinkLayer.ETHERNET,
        driver="mlx5_core",
        pci_address="0000:3b:00.0",
        numa_node=0,
        netdev=netdev,
        part=None,
        identity=number,
    )


def test_the_file_comes_first_and_lldp_is_asked_for_the_rest() -> None:
    lldp = _Ears({"rail0": _SPINE, "rail1": _SPINE})
    collector = _collector(rail(0), rail(1, "rail1"), file=_Plan({"rail0": _LEAF}), lldp=lldp)

    assert _neighbors([*collector.collect()]) == {
        "0": ("rail0", "leaf1", "swp1"),
        "1": ("rail1", "spine1", "swp9"),
    }
    assert lldp.asked == {"rail1"}


def test_lldp_is_not_asked_when_the_file_knows_everything() -> None:
    lldp = _Ears(error=AssertionError("asked"))
    collector = _collector(rail(0), file=_Plan({"rail0": _LEAF}), lldp=lldp)

    assert len(_neighbors([*collector.collect()])) == 1


def test_without_either_there_is_nothing_to_say() -> None:
    assert [*_collector(rail(0)).collect()] == []


@pytest.mark.parametrize("name", ["mlx5_0", "mlx5_0/1", "rail0", "0000:3b:00.0"])
def test_a_plan_may_use_any_name_of_a_rail(name: str) -> None:
    one = rail(0, device="mlx5_0", rdma=_port())

    found = _neighbors([*_collector(one, file=_Plan({name: _LEAF})).collect()])

    assert found == {"0": ("mlx5_0", "leaf1", "swp1")}


@pytest.mark.parametrize("names", [("mlx5_0", "mlx5_0/2"), ("0000:3b:00.0", "0000:3b:00.0/1")])
def test_two_ports_of_an_adapter_are_told_apart(names: tuple[str, str]) -> None:
    rails = [rail(n - 1, device="mlx5_0", netdev="", rdma=_port(n)) for n in (1, 2)]
    plan = _Plan(dict(zip(names, (_LEAF, _SPINE), strict=True)))

    assert _neighbors([*_collector(*rails, file=plan).collect()]) == {
        "0": ("mlx5_0", "leaf1", "swp1"),
        "1": ("mlx5_0", "spine1", "swp9"),
    }


def test_ports_of_an_adapter_that_is_gone_do_not_take_each_others_neighbour() -> None:
    rails = [rail(n, f"eth{n}", device="mlx5_0", ifindex=None) for n in (0, 1)]
    plan = _Plan({"mlx5_0": _LEAF, "eth1": _SPINE})

    assert _neighbors([*_collector(*rails, file=plan).collect()]) == {
        "1": ("mlx5_0", "spine1", "swp9")
    }


def test_a_rail_that_is_gone_is_still_plugged_into_what_the_plan_says() -> None:
    lldp = _Ears({"rail0": _SPINE})
    gone = rail(0, ifindex=None)

    assert _neighbors([*_collector(gone, file=_Plan({"rail0": _LEAF}), lldp=lldp).collect()])
    assert [*_collector(gone, lldp=lldp).collect()] == []


def test_a_rail_with_an_rdma_port_only_is_heard_on_the_device_that_the_port_names() -> None:
    lldp = _Ears({"eth5": _LEAF})
    one = rail(0, device="mlx5_0", netdev="", ifindex=None, rdma=_port(netdev="eth5"))

    assert _neighbors([*_collector(one, lldp=lldp).collect()]) == {"0": ("mlx5_0", "leaf1", "swp1")}


def test_an_interface_that_was_not_asked_for_is_nobodys() -> None:
    lldp = _Ears({"rail0": _LEAF, "eno1": _SPINE})

    assert len(_neighbors([*_collector(rail(0), lldp=lldp).collect()])) == 1


def test_what_lldp_does_not_hear_any_more_is_gone() -> None:
    lldp = _Ears({"rail0": _LEAF})
    collector = _collector(rail(0), lldp=lldp)
    before = _neighbors([*collector.collect()])
    lldp.neighbors = {}

    assert (len(before), [*collector.collect()]) == (1, [])


def test_a_file_that_cannot_be_read_leaves_it_to_lldp() -> None:
    file, lldp = _Plan(error=SourceError("no such file")), _Ears({"rail0": _SPINE})
    readings = [*_collector(rail(0), file=file, lldp=lldp).collect()]

    assert _failures(readings) == ["topology file: no such file"]
    assert _neighbors(readings) == {"0": ("rail0", "spine1", "swp9")}


def test_an_lldpd_that_hangs_leaves_what_the_file_knows() -> None:
    file, lldp = _Plan({"rail0": _LEAF}), _Ears(error=SourceError("no answer within 3 s"))
    readings = [*_collector(rail(0), rail(1, "rail1"), file=file, lldp=lldp).collect()]

    assert _failures(readings) == ["LLDP: no answer within 3 s"]
    assert _neighbors(readings) == {"0": ("rail0", "leaf1", "swp1")}


@pytest.mark.parametrize("is_refusal", [True, False])
def test_that_there_is_no_lldp_is_said_once_a_change_and_is_no_failure(
    caplog: pytest.LogCaptureFixture, *, is_refusal: bool
) -> None:
    """A missing permission is for people, a missing lldpd for who looks for it."""
    caplog.set_level(logging.DEBUG)
    away = LldpUnavailableError("not for us", is_refusal=is_refusal)
    lldp = _Ears({"rail0": _LEAF}, error=away)
    collector = _collector(rail(0), lldp=lldp)
    rounds = [[*collector.collect()] for _ in range(2)]
    lldp.error = None
    rounds.append([*collector.collect()])
    lldp.error = away
    rounds.append([*collector.collect()])

    assert [len(each) for each in rounds] == [0, 0, 1, 0]
    level = logging.INFO if is_refusal else logging.DEBUG
    assert [r.levelno for r in caplog.records if "not for us" in r.message] == [level, level]


def test_an_agent_exposes_what_the_file_says_of_its_host(tmp_path: Path) -> None:
    file = tmp_path / "topology.csv"
    file.write_text(
        "instance,device,switch,switch_port\n"
        f"{socket.gethostname()},mlx5_0,leaf1,Ethernet1/7\n"
        "another,mlx5_1,leaf1,Ethernet1/8\n"
    )
    toml = f'[topology]\nfile = "{file}"\nlldp_socket = ""\n'
    with Program(tmp_path, two_rails(tmp_path / "node"), toml=toml) as agent:
        found = agent.metrics()["railwatch_rail_neighbor_info"]

    assert [dict(labels) for labels in found] == [
        {"rail": "0", "device": "mlx5_0", "switch": "leaf1", "switch_port": "Ethernet1/7"}
    ]
