"""Bytes of rails with RDMA: which components are added up, and what happens to one of them."""

import logging
from pathlib import Path

import pytest

from agent.fakes import FakeClock, rail
from agent.rdma_node import RdmaNode
from agent.trees import scenario
from railwatch_agent.rail_bytes import ByteCounters
from railwatch_agent.sources.files import CounterFile
from railwatch_agent.sources.summed import CounterPart, SummedCounter
from railwatch_agent.stations import Pace, RailStation
from railwatch_agent.tape import Tape

_PORT = "class/infiniband/mlx5_0/ports/1"


@pytest.mark.parametrize(
    ("name", "received_and_sent"),
    [
        pytest.param("mlx5_roce", (4_000 + 500, 8_000 + 600), id="words, and TCP apart"),
        pytest.param("mlx5_infiniband", (4_000, 8_000), id="words, and IP within"),
        pytest.param("mlx5_no_pma", (500, 600), id="TCP alone"),
        pytest.param("mlx5_missing_files", (4, 8), id="no network device"),
        pytest.param("bnxt_re", (1_000 + 500, 2_000 + 600), id="bytes, and TCP apart"),
        pytest.param("ionic", (1_100 + 500, 2_200 + 600), id="uni- and multicast, and TCP"),
        pytest.param("efa", (1_000, 2_000), id="bytes, and no network device"),
        pytest.param("hfi1", (4_000, 8_000), id="words"),
        pytest.param("irdma", (1_100 + 500, 2_200 + 600), id="both IPs, and TCP apart"),
        pytest.param("soft_roce", (500, 600), id="unknown driver: never twice"),
        pytest.param("no_rdma", (500, 600), id="no RDMA"),
    ],
)
def test_the_bytes_of_a_rail_are_those_on_the_wire(
    tmp_path: Path, name: str, received_and_sent: tuple[float, float]
) -> None:
    node = RdmaNode(tmp_path, scenario(name, tmp_path / "node"))
    node.rails()

    assert node.sample() == received_and_sent


def _roce(tmp_path: Path) -> RdmaNode:
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    node.rails()
    assert node.sample() == (4_500, 8_600)
    return node


def test_a_reset_of_one_component_goes_on(tmp_path: Path) -> None:
    node = _roce(tmp_path)
    node.tree.count_rdma("mlx5_0", port_rcv_data=0)
    node.tree.count("rail0", rx_bytes=600)
    reset = node.sample()
    node.tree.count_rdma("mlx5_0", port_rcv_data=10)

    assert (reset, node.sample()) == ((4_600, 8_600), (4_640, 8_600))


def test_a_reset_of_the_only_component_is_a_fall(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_infiniband", tmp_path / "node"))
    node.rails()
    before = node.sample()
    node.tree.count_rdma("mlx5_0", port_rcv_data=0)

    assert (before, node.sample()) == ((4_000, 8_000), (0, 8_000))


def test_rdma_counters_that_go_leave_those_of_the_network_device(tmp_path: Path) -> None:
    node = _roce(tmp_path)
    counter = node.tree.sysfs / _PORT / "counters" / "port_rcv_data"
    counter.write_text("")
    counter.unlink()
    counter.symlink_to("/sys/class/net/lo/speed")
    node.tree.count("rail0", rx_bytes=700)
    node.sample()
    node.clock.advance(2.0)

    assert node.sample() == (4_700, 8_600)


def test_a_network_device_that_cannot_be_read_costs_the_sample(tmp_path: Path) -> None:
    node = _roce(tmp_path)
    (node.tree.netdev("rail0") / "statistics" / "rx_bytes").write_text("broken")

    assert node.sample() is None


def test_a_descriptor_is_opened_once_for_each_file(tmp_path: Path) -> None:
    node = _roce(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        node.sample()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


class _SlowFile(CounterFile):
    """A counter whose reading takes as long as a test says."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(Path("/nowhere"))
        self.took_seconds = 0.0
        self.reads = 0
        self._clock = clock

    def read(self) -> int | None:
        """Take the time, and count."""
        self.reads += 1
        self._clock.advance(self.took_seconds)
        return self.reads


class _Slow:
    """A station with a slow counter, on a cadence of 20 ms."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.file = _SlowFile(self.clock)
        self._begun = self.clock.monotonic()
        receive = SummedCounter([CounterPart(self.file)])
        transmit = SummedCounter([CounterPart(_SlowFile(self.clock))])
        self.station = RailStation(
            rail(),
            counters=lambda _: ByteCounters(receive, transmit),
            track=Tape(10_000).track(0),
            on_error=lambda: None,
            monotonic=self.clock.monotonic,
        )

    def reads_in(self, seconds: float) -> int:
        """Let *seconds* of rounds pass, and return how many of them read."""
        before = self.file.reads
        for round_ in range(round(seconds / 0.02)):
            self.station.read(self._begun + round_ * 0.02)
        self._begun += seconds
        return self.file.reads - before


def test_fast_reads_are_done_every_round(caplog: pytest.LogCaptureFixture) -> None:
    slow = _Slow()
    slow.file.took_seconds = 0.0005

    assert slow.reads_in(2.0) == 100
    assert not caplog.records


def test_slow_reads_take_a_twentieth_of_the_time_and_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    slow = _Slow()
    slow.file.took_seconds = 0.005
    slow.reads_in(1.0)
    settled = slow.reads_in(10.0)
    slow.file.took_seconds = 0.00001
    slow.reads_in(10.0)

    # From one round on the grid to the one that follows the rest.
    assert 80 <= settled <= 100
    assert slow.reads_in(2.0) == 100
    assert ["fast again" in r.message for r in caplog.records] == [False, True]


def test_over_the_budget_slow_reads_rest_longer() -> None:
    slow = _Slow()
    slow.file.took_seconds = 0.005
    slow.reads_in(1.0)
    slow.station.slow_down(4)
    slow.reads_in(1.0)

    assert 20 <= slow.reads_in(10.0) <= 25


def test_one_slow_read_is_the_schedulers() -> None:
    pace = Pace()

    assert [pace.rest_seconds(s) for s in (0.01, 0.01, 0.0001, 0.01, 0.01, 0.0)] == [0.0] * 6
    assert not pace.is_slow


def test_even_the_slowest_rail_is_read_each_second() -> None:
    pace = Pace()

    assert [pace.rest_seconds(0.5) for _ in range(3)] == [0.0, 0.0, 1.0]
