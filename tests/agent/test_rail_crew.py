"""Rails that are read in one go: as good as read with care, and handed over where that is due."""

import math
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import FakeClock, FakeQueueSource, ForwardClock, rail
from agent.rdma_node import RdmaNode
from agent.trees import Tree, scenario, two_rails
from railwatch.rates import Accumulator
from railwatch_agent.histogram import Histogram
from railwatch_agent.inventory import Rail
from railwatch_agent.rail_bytes import byte_counters
from railwatch_agent.rail_crew import RailCrew
from railwatch_agent.sampler import Sampler
from railwatch_agent.sources import summed
from railwatch_agent.sources.files import CounterFile
from railwatch_agent.sources.summed import CounterPart, SummedCounter
from railwatch_agent.stations import QueueStation, RailStation
from railwatch_agent.sweep import LOOK_EVERY_ROUNDS
from railwatch_agent.tape import Tape
from support.conditions import wait_until

_INTERVAL = 0.02
_PATIENCE_SECONDS = 20.0
_QUIET_READS = summed._REST_AFTER_READS


class _Crew:
    """A crew on a tree, of which a test runs the rounds."""

    def __init__(self, tree: Tree, rails: tuple[Rail, ...]) -> None:
        self.tree = tree
        self.clock = FakeClock()
        self.tape = Tape(10_000)
        self.errors = 0
        self.crew = RailCrew(
            tape=self.tape,
            interval_seconds=_INTERVAL,
            clock=self.clock,
            lateness=Histogram(()),
        )
        self.crew.stations = tuple(self._station(of) for of in rails)

    def _station(self, of: Rail) -> RailStation:
        return RailStation(
            of,
            counters=lambda on_jump: byte_counters(of, self.tree.sysfs, on_jump=on_jump),
            track=self.tape.track(of.number),
            on_error=self._count,
            monotonic=self.clock.monotonic,
        )

    def _count(self) -> None:
        self.errors += 1

    def rounds(self, count: int = 1) -> None:
        """Run rounds on the cadence."""
        for _ in range(count):
            self.clock.advance(_INTERVAL)
            self.crew.round(self.clock.monotonic())

    def received(self, rail: int = 0) -> list[float]:
        """Return the bytes received of all samples."""
        found: list[float] = self.tape.track(rail).slice(-math.inf).receive_bytes.tolist()
        return found

    @property
    def swept(self) -> tuple[int, ...]:
        """Numbers of the rails that the next round reads in one go."""
        return () if self.crew._sweep is None else self.crew._sweep.rails


@pytest.fixture
def tcp(tmp_path: Path) -> _Crew:
    """Two rails of which the network device counts all."""
    tree = two_rails(tmp_path)
    return _Crew(tree, (rail(0, "rail0"), rail(1, "rail1", ifindex=8)))


@pytest.fixture
def roce(tmp_path: Path) -> _Crew:
    """A rail that RDMA and the network device count apart, in sysfs's words and bytes."""
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    return _Crew(node.tree, tuple(node.rails()))


def test_rails_are_read_in_one_go_from_the_second_round_on(tcp: _Crew) -> None:
    tcp.rounds()
    for number in range(1, 4):
        tcp.tree.count("rail0", rx_bytes=number)
        tcp.tree.count("rail1", rx_bytes=10 * number)
        tcp.rounds()

    assert tcp.swept == (0, 1)
    assert tcp.received(0) == [0, 1, 2, 3]
    assert tcp.received(1) == [0, 10, 20, 30]


def test_a_reset_of_a_counter_is_a_fall(tcp: _Crew) -> None:
    tcp.tree.count("rail0", rx_bytes=1000)
    tcp.rounds(3)
    tcp.tree.count("rail0", rx_bytes=7)
    tcp.rounds(2)

    assert tcp.received(0) == [1000, 1000, 1000, 7, 7]
    assert tcp.received(1) == [0] * 5
    assert tcp.swept == (0, 1)


def test_a_rail_that_cannot_be_read_costs_itself_and_comes_back(tcp: _Crew) -> None:
    tcp.rounds(2)
    file = tcp.tree.netdev("rail0") / "statistics" / "rx_bytes"
    file.write_text("broken")
    tcp.rounds(3)
    broken = tcp.swept
    file.write_text("5\n")
    tcp.rounds(round(1.0 / _INTERVAL) + 2 * LOOK_EVERY_ROUNDS)

    assert broken == (1,)
    assert tcp.errors == 1
    assert tcp.swept == (0, 1)
    assert len(tcp.received(1)) == 5 + 50 + 20
    # What follows does not continue what was before.
    after = tcp.received(0)[2:]
    assert math.isnan(after[0])
    assert set(after[1:]) == {5}


def test_rails_that_come_are_read_too_and_those_that_go_no_more(tcp: _Crew) -> None:
    tcp.rounds(3)
    first, second = tcp.crew.stations
    tcp.crew.stations = (second,)
    tcp.rounds(2)
    alone = tcp.swept
    tcp.crew.stations = (second, first)
    tcp.rounds(2)

    assert (alone, tcp.swept) == ((1,), (1, 0))
    assert (len(tcp.received(0)), len(tcp.received(1))) == (5, 7)


def test_a_sweep_that_takes_long_is_followed_by_a_look_at_each(tcp: _Crew) -> None:
    tcp.rounds(2)
    slow = tcp.crew.stations[0]
    _delay(slow._receive, lambda: tcp.clock.advance(0.005))
    sweep = tcp.crew._sweep
    assert sweep is not None
    read = sweep._moving.read
    sweep._moving.read = lambda: tcp.clock.advance(0.005) or read()  # type: ignore[method-assign,func-returns-value]
    tcp.rounds(20)

    assert slow._pace.is_slow
    assert tcp.swept == (1,)
    assert len(tcp.received(0)) < len(tcp.received(1)) == 22


def _delay(counter: SummedCounter, delay: Callable[[], None]) -> None:
    class Delayed(CounterFile):
        def read(self) -> int | None:
            delay()
            return super().read()

    counter._parts[0].file = Delayed(Path(counter._parts[0].file.path))


def test_what_nobody_uses_rests_and_is_still_counted(roce: _Crew) -> None:
    """RDMA moves, TCP trickles: 4,000 + 500 bytes at the beginning."""
    words = 1000
    for _ in range(_QUIET_READS + 1):
        words += 1000
        roce.tree.count_rdma("mlx5_0", port_rcv_data=words, port_xmit_data=words)
        roce.rounds()
    assert roce.swept == (0,)
    roce.tree.count("rail0", rx_bytes=700)
    roce.rounds(LOOK_EVERY_ROUNDS)

    assert roce.received()[-1] == 4 * words + 700
    assert not any(map(math.isnan, roce.received()))


def test_what_rested_and_moves_again_does_not_make_a_burst(roce: _Crew) -> None:
    """Within which of the last ten samples it moved is not known."""
    roce.rounds(_QUIET_READS + 1)
    before = roce.received()[-1]
    roce.tree.count("rail0", rx_bytes=10**9)
    roce.rounds(2 * LOOK_EVERY_ROUNDS)

    found = roce.received()
    jump = next(at for at, value in enumerate(found) if math.isnan(value))
    assert found[jump - 1] == before
    assert found[jump + 1] == 4000 + 10**9


def test_a_reset_of_one_part_goes_on_while_the_other_rests(roce: _Crew) -> None:
    roce.tree.count_rdma("mlx5_0", port_rcv_data=10**9)
    roce.rounds(_QUIET_READS + 1)
    assert roce.swept == (0,)
    before = roce.received()[-1]
    roce.tree.count_rdma("mlx5_0", port_rcv_data=0)
    roce.tree.count("rail0", rx_bytes=0)
    roce.rounds(2 * LOOK_EVERY_ROUNDS)

    assert roce.received()[-1] == before


def test_an_abandoned_crew_writes_no_more(tcp: _Crew) -> None:
    tcp.rounds(3)
    tcp.crew.abandon()
    tcp.rounds(2)

    assert len(tcp.received(0)) == 3


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "trickle", "reset", "vanish", "return", "nothing"]),
        st.integers(0, 1),
    ),
    max_size=40,
)


@given(steps=_STEPS)
def test_a_sum_is_that_of_its_parts_whatever_happens_to_them(steps: list[tuple[str, int]]) -> None:
    """As `Accumulator` has it, which is the plain way to say it."""
    parts = [_Part(1000), _Part(500)]
    counter = SummedCounter([CounterPart(parts[0], 4, True), CounterPart(parts[1], 1, True)])
    reference = Accumulator()
    for what, which in [("nothing", 0), *steps]:
        parts[which].change(what)
        scaled = [None if p.now is None else p.now * s for p, s in zip(parts, (4, 1), strict=True)]
        expected = reference.update(scaled)

        assert counter.read() == (None if scaled == [None, None] else expected)


class _Part(CounterFile):
    """A counter without a file."""

    def __init__(self, value: int) -> None:
        super().__init__(Path(os.devnull))
        self.now: int | None = value
        self._kept = value

    def change(self, what: str) -> None:
        """Do to the counter what drivers do."""
        change = {"grow": 10**6, "trickle": 3, "reset": -self._kept}.get(what, 0)
        self._kept += change
        if what == "vanish":
            self.now = None
        elif self.now is not None or what == "return":
            self.now = self._kept

    def read(self) -> int | None:
        """Return it."""
        return self.now


def test_a_read_that_hangs_within_a_sweep_costs_its_rail_only(tmp_path: Path) -> None:
    """The second rail's first counter: the third of the files that are read in one go."""
    tree = two_rails(tmp_path)
    rails = (rail(0, "rail0"), rail(1, "rail1", ifindex=8))
    clock, tape = ForwardClock(), Tape(10_000)
    stations: dict[int, RailStation] = {}

    def station(of: Rail) -> RailStation:
        stations[of.number] = RailStation(
            of,
            counters=lambda on_jump: byte_counters(of, tree.sysfs, on_jump=on_jump),
            track=tape.track(of.number),
            on_error=lambda: None,
            monotonic=clock.monotonic,
        )
        return stations[of.number]

    queues = QueueStation(
        FakeQueueSource(), rails=tuple, tape=tape, clock=clock, on_error=lambda: None
    )
    sampler = Sampler(
        rails=lambda: rails,
        station=station,
        tape=tape,
        queues=queues,
        interval_seconds=0.001,
        clock=clock,
    )
    sampler.supervise()
    sampler.start()
    crew, go = sampler._crew, threading.Event()
    wait_until(lambda: crew._sweep is not None, _PATIENCE_SECONDS, "the rails to be swept")
    sweep = crew._sweep
    assert sweep is not None
    moving = sweep._moving

    def hang() -> list[int]:
        moving._left = iter(moving.descriptors)
        for _ in range(3):
            next(moving._left)
        go.wait(_PATIENCE_SECONDS)
        return moving.values

    moving.read = hang  # type: ignore[method-assign]
    wait_until(lambda: crew.at() is stations[1], _PATIENCE_SECONDS, "the crew to hang")
    for _ in range(4):
        clock.offset += 1.0
        sampler.supervise()
    before, stuck = tape.bytes.count(0), sampler.stuck_rails
    wait_until(lambda: tape.bytes.count(0) > before + 1, _PATIENCE_SECONDS, "rail 0 to go on")
    counted = tape.bytes.count(1)
    go.set()

    def taken_back() -> bool:
        sampler.supervise()
        return sampler.stuck_rails == 0 and tape.bytes.count(1) > counted

    wait_until(taken_back, _PATIENCE_SECONDS, "rail 1 to be taken back")
    sampler.stop()
    assert stuck == 1
