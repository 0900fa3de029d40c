"""Collectors on trees and tapes: what they yield, and what they leave out."""

from pathlib import Path

import pytest

from agent.fakes import FakeClock, FakeQueue, FakeQueueSource, rail
from agent.readings import value, values
from agent.trees import Nic, Tree, two_rails
from railwatch.catalogue.metric import Distribution, ReadFailure, Sample
from railwatch.catalogue.node import HOST_CPU_BUSY, HOST_MEMORY_AVAILABLE, HOST_PRESSURE
from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_FAULTS,
    RAIL_INFO,
    RAIL_PRESENT,
    RAIL_QUEUE_DROPS,
    RAIL_RECEIVE_BYTES,
    RAIL_SPEED,
    RAIL_TRANSMIT_BYTES,
    RAIL_UP,
)
from railwatch_agent.collectors.ethtool import EthtoolCollector
from railwatch_agent.collectors.fast import FastReadings
from railwatch_agent.collectors.gpu import GpuCollector
from railwatch_agent.collectors.host import HostCollector
from railwatch_agent.collectors.infiniband import InfinibandCollector
from railwatch_agent.collectors.job import JobCollector
from railwatch_agent.collectors.neighbor import NeighborCollector
from railwatch_agent.collectors.netdev import NetdevCollector
from railwatch_agent.collectors.pcie import PcieCollector
from railwatch_agent.collectors.steps import StepCollector
from railwatch_agent.collectors.window import WindowCollector
from railwatch_agent.sampler import Sampler
from railwatch_agent.settings import COLLECTORS
from railwatch_agent.sources.host import HostSource
from railwatch_agent.stations import QueueStation
from railwatch_agent.tape import Tape

_INTERVAL = 0.02


class _Netdev:
    """The collector of one rail on a tree."""

    def __init__(self, root: Path, nic: Nic, **facts: object) -> None:
        self.tree = Tree(root)
        self.tree.add(nic)
        index = int((self.tree.netdev(nic.name) / "ifindex").read_text())
        self.rails = [rail(0, nic.name, ifindex=index, **facts)]
        self.collector = NetdevCollector(0, rails=lambda: tuple(self.rails), sysfs=self.tree.sysfs)

    def collect(self) -> list[Sample | ReadFailure]:
        """Return one round."""
        return list(self.collector.collect())


_NIC = Nic("rail0", pci="0000:3b:00.0", rdma="mlx5_0")


def test_faults_are_the_counters_of_the_kernel(tmp_path: Path) -> None:
    counters = {"rx_errors": 1, "rx_dropped": 2, "tx_dropped": 3, "tx_errors": 9}
    netdev = _Netdev(tmp_path, Nic("rail0", counters=counters, carrier_down_count=4))

    assert values(netdev.collect(), RAIL_FAULTS) == {
        ("link_downed",): 4,
        ("receive_error",): 1,
        ("receive_discard",): 2,
        ("transmit_discard",): 3,
    }


def test_a_fault_that_is_not_kept_has_no_series(tmp_path: Path) -> None:
    """carrier_down_count came with Linux 4.16."""
    netdev = _Netdev(tmp_path, Nic("rail0", carrier_down_count=None))

    assert ("link_downed",) not in values(netdev.collect(), RAIL_FAULTS)


def test_a_rail_that_is_up(tmp_path: Path) -> None:
    readings = _Netdev(tmp_path, _NIC).collect()

    found = [value(readings, spec) for spec in (RAIL_PRESENT, RAIL_ADMIN_UP, RAIL_UP, RAIL_SPEED)]
    assert found == [1, 1, 1, 12.5e9]


def test_a_rail_that_is_administratively_down_has_no_carrier_and_no_speed(tmp_path: Path) -> None:
    """The kernel answers both with EINVAL then."""
    readings = _Netdev(tmp_path, Nic("rail0", is_admin_up=False, speed="-1")).collect()

    found = [value(readings, spec) for spec in (RAIL_PRESENT, RAIL_ADMIN_UP, RAIL_UP, RAIL_SPEED)]
    assert found == [1, 0, 0, None]
    assert not [r for r in readings if isinstance(r, ReadFailure)]


def test_a_configured_line_rate_wins(tmp_path: Path) -> None:
    netdev = _Netdev(tmp_path, _NIC, line_rate_override=1e6)

    assert value(netdev.collect(), RAIL_SPEED) == 1e6
    assert netdev.collector.line_rate == 1e6


def test_what_is_unknown_of_a_rail_is_an_empty_label(tmp_path: Path) -> None:
    netdev = _Netdev(tmp_path, _NIC, numa_node=None, driver=None, pci_address=None)

    assert list(values(netdev.collect(), RAIL_INFO)) == [("rail0", "roce", "", "", "", "", "rdma")]


@pytest.mark.parametrize("attribute", ["speed", "carrier", "flags", "statistics/rx_dropped"])
def test_one_unreadable_file_costs_one_reading(tmp_path: Path, attribute: str) -> None:
    """A directory in place of the file, so that reading it fails with EISDIR."""
    netdev = _Netdev(tmp_path, _NIC)
    whole = len(netdev.collect())
    broken = _Netdev(tmp_path / "broken", _NIC)
    broken.tree.replace_by_directory("rail0", attribute)

    readings = broken.collect()

    assert len([r for r in readings if isinstance(r, ReadFailure)]) == 1
    assert len([r for r in readings if isinstance(r, Sample)]) == whole - 1


@pytest.mark.parametrize(("attribute", "text"), [("speed", "fast"), ("flags", "up")])
def test_one_unparsable_file_costs_one_reading(tmp_path: Path, attribute: str, text: str) -> None:
    netdev = _Netdev(tmp_path, _NIC)
    netdev.tree.write("rail0", attribute, text)

    assert len([r for r in netdev.collect() if isinstance(r, ReadFailure)]) == 1


def test_a_rail_that_is_gone_is_neither_present_nor_up(tmp_path: Path) -> None:
    netdev = _Netdev(tmp_path, _NIC)
    netdev.collect()
    netdev.tree.remove("rail0")
    readings = netdev.collect()

    assert [type(r) for r in readings] == [Sample, Sample, Sample]
    assert (value(readings, RAIL_PRESENT), value(readings, RAIL_UP)) == (0, 0)
    assert len(values(readings, RAIL_INFO)) == 1


def test_another_device_under_the_old_name_is_not_this_rail(tmp_path: Path) -> None:
    netdev = _Netdev(tmp_path, _NIC)
    netdev.collect()
    netdev.tree.remove("rail0")
    netdev.tree.add(Nic("rail0", pci="0000:af:00.0"))

    assert value(netdev.collect(), RAIL_PRESENT) == 0


def test_a_number_that_is_no_rail_any_more_has_no_series(tmp_path: Path) -> None:
    netdev = _Netdev(tmp_path, _NIC)
    netdev.rails.clear()

    assert netdev.collect() == []


class _Fast:
    """What a scrape gets of a tape."""

    def __init__(self, ifindex: int | None = 7) -> None:
        self.clock = FakeClock()
        self.tape = Tape(10)
        rails = (rail(ifindex=ifindex),)
        queues = QueueStation(
            FakeQueueSource({7: FakeQueue(0, 5)}),
            rails=lambda: rails,
            tape=self.tape,
            clock=self.clock,
            on_error=lambda: None,
        )
        queues.read(self.clock.monotonic())
        sampler = Sampler(
            rails=lambda: (),
            station=lambda _: pytest.fail("nothing is sampled"),
            tape=self.tape,
            queues=queues,
            interval_seconds=_INTERVAL,
            clock=self.clock,
        )
        self.readings = FastReadings(
            rails=lambda: rails,
            tape=self.tape,
            sampler=sampler,
            queues=queues,
            read_errors=lambda: 0,
            clock=self.clock,
        )

    def byte_counters(self) -> list[float | Distribution | None]:
        """Return bytes received, bytes sent and drops."""
        found: list[Sample | ReadFailure] = list(self.readings.samples())
        return [
            value(found, spec)
            for spec in (RAIL_RECEIVE_BYTES, RAIL_TRANSMIT_BYTES, RAIL_QUEUE_DROPS)
        ]


def test_a_scrape_gets_the_newest_fast_sample() -> None:
    fast = _Fast()
    fast.tape.track(0).append(fast.clock.monotonic() - 0.02, 1, 2)
    fast.tape.track(0).append(fast.clock.monotonic(), 3, 4)

    assert fast.byte_counters() == [3, 4, 5]


def test_a_fast_sample_that_is_old_is_not_exposed() -> None:
    fast = _Fast()
    fast.tape.track(0).append(fast.clock.monotonic(), 1, 2)
    fast.clock.advance(3.0)

    assert fast.byte_counters() == [None, None, None]


def test_a_gap_is_not_exposed() -> None:
    fast = _Fast()
    fast.tape.track(0).append_gap(fast.clock.monotonic())

    assert fast.byte_counters() == [None, None, None]


def test_a_device_that_is_gone_has_no_counters() -> None:
    fast = _Fast(ifindex=None)
    fast.tape.track(0).append(fast.clock.monotonic(), 1, 2)

    assert fast.byte_counters() == [None, None, None]


def test_the_host_is_told_from_its_second_round_on(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    collector = HostCollector(HostSource(tree.procfs))
    first: list[Sample | ReadFailure] = list(collector.collect())
    # 100 ticks busy and 300 idle since.
    (tree.procfs / "stat").write_text("cpu  1100 0 500 8200 300 0 100 0 0 0\n")
    second: list[Sample | ReadFailure] = list(collector.collect())

    assert value(first, HOST_CPU_BUSY) is None
    assert value(second, HOST_CPU_BUSY) == pytest.approx(0.25)
    assert value(second, HOST_MEMORY_AVAILABLE) == 49152000 * 1024
    assert values(second, HOST_PRESSURE)[("cpu",)] == pytest.approx(0.0466)


def test_one_part_of_the_host_that_cannot_be_read_costs_that_part(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    (tree.procfs / "stat").unlink()
    (tree.procfs / "pressure" / "io").write_text("nonsense")
    readings = list(HostCollector(HostSource(tree.procfs)).collect())

    failed = [reading.what for reading in readings if isinstance(reading, ReadFailure)]
    assert failed == ["processor", "io pressure"]
    assert len(readings) == 7


def test_what_can_be_disabled_is_what_there_is() -> None:
    names = {NetdevCollector.name, WindowCollector.name, HostCollector.name, "tcp"}
    names |= {EthtoolCollector.name, InfinibandCollector.name, PcieCollector.name}
    names |= {NeighborCollector.name, GpuCollector.name, JobCollector.name, StepCollector.name}

    assert set(COLLECTORS) == names
