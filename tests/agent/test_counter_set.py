"""Counters that are read together say what they would say one by one."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.fakes import FakeClock
from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RAIL_FAULTS, Fault
from railwatch.rates import Accumulator
from railwatch_agent.collectors.counter_set import CounterSeries, CounterSet
from railwatch_agent.sources.files import CounterFile

_FILES = ("a", "b", "c")
# Two series: the sum of the first two files, and the third alone.
_PARTS = ((Fault.RETRANSMIT, ("a", "b")), (Fault.ICRC_ERROR, ("c",)))


class _Set:
    """A set of counters in a folder, read each second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        for name in _FILES:
            self.write(name, 100)
        series = [
            CounterSeries(
                RAIL_FAULTS,
                ("0", "mlx5_0", kind),
                [CounterFile(folder / name) for name in names],
                interval_seconds=1.0,
                monotonic=self.clock.monotonic,
            )
            for kind, names in _PARTS
        ]
        self.counters = CounterSet(series, monotonic=self.clock.monotonic)

    def write(self, name: str, value: int) -> None:
        """Set a counter, in place."""
        with (self.folder / name).open("w") as file:
            file.write(f"{value:<20}\n")

    def round(self) -> tuple[dict[str, float], int]:
        """Return the values by kind, and how many readings failed."""
        self.clock.advance(1.0)
        readings = list(self.counters.read())
        values = {r.labels[2]: r.value for r in readings if isinstance(r, Sample)}
        failures = sum(isinstance(r, ReadFailure) for r in readings)
        return values, failures  # type: ignore[return-value] # no histogram is among them


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(_FILES), st.integers(0, 300)) | st.none(), max_size=30)
)
def test_counters_that_grow_fall_or_stand_still(
    tmp_path: Path, steps: list[tuple[str, int] | None]
) -> None:
    counters = _Set(tmp_path)
    now = dict.fromkeys(_FILES, 100)
    totals = {kind: Accumulator() for kind, _ in _PARTS}
    for step in [None, *steps]:
        if step is not None:
            name, now[step[0]] = step
            counters.write(name, now[name])
        expected = {
            str(kind): totals[kind].update([now[name] for name in names]) for kind, names in _PARTS
        }

        assert counters.round() == (expected, 0)


def test_one_that_cannot_be_read_costs_itself_and_comes_back(tmp_path: Path) -> None:
    counters = _Set(tmp_path)
    counters.round()
    counters.round()
    (tmp_path / "c").write_text("broken")
    broken = counters.round()
    counters.write("c", 107)
    counters.write("a", 110)
    counters.round()

    assert broken == ({"retransmit": 200}, 1)
    assert counters.round() == ({"retransmit": 210, "icrc_error": 107}, 0)


def test_one_that_vanishes_is_left_out_and_the_others_are_not(tmp_path: Path) -> None:
    counters = _Set(tmp_path)
    counters.round()
    (tmp_path / "c").write_text("")
    (tmp_path / "c").unlink()
    counters.write("a", 150)

    found, _ = counters.round()
    assert found["retransmit"] == 250


def test_a_set_of_nothing_says_nothing() -> None:
    assert list(CounterSet(()).read()) == []
