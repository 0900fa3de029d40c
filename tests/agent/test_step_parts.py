"""The pure parts of step tracking: cells, period, boundaries, occupancy, lag, split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.stepping import regular_counter
from railwatch.catalogue.step import Unresolved
from railwatch_agent.steps.boundaries import find_boundaries
from railwatch_agent.steps.grid import bytes_of_cells, values_at
from railwatch_agent.steps.lag import find_lag
from railwatch_agent.steps.occupancy import Levels, burst_of, computing, levels_of, sending
from railwatch_agent.steps.period import Period, Stretch, find_period
from railwatch_agent.steps.split import split_steps
from support.training import Course, Floats, Sampling, accumulated, bucketed, count_bytes, train

_CELL = 0.02


def _cells(times: Floats, counter: Floats, cell: float = _CELL) -> Floats:
    edges = np.arange(np.ceil(times[0] / cell), np.floor(times[-1] / cell)) * cell
    return bytes_of_cells(times, counter, edges, 0.25)


def _period(cells: Floats, cell: float = _CELL, sample: float | None = None) -> Period | Unresolved:
    return find_period(Stretch(cells, cell, sample or cell))


def _seconds(found: Period | Unresolved) -> float:
    assert isinstance(found, Period), found
    return found.seconds


@given(
    gaps=st.lists(st.floats(0.001, 0.2), min_size=2, max_size=40),
    grown=st.lists(st.integers(0, 10**9), min_size=2, max_size=40),
)
def test_cells_conserve_bytes(gaps: list[float], grown: list[int]) -> None:
    count = min(len(gaps), len(grown))
    times = np.cumsum(gaps[:count])
    counter = np.cumsum(np.array(grown[:count], dtype=np.float64))
    edges = np.linspace(times[0], times[-1], 20)

    cells = bytes_of_cells(times, counter, edges, 1.0)

    assert cells.sum() == pytest.approx(counter[-1] - counter[0], abs=1e-3)


@pytest.mark.parametrize("fault", ["gap", "reset", "late"])
def test_what_nobody_sampled_is_unknown_and_its_neighbours_are_not(fault: str) -> None:
    times = np.arange(0, 2, 0.1)
    counter = 1e6 * times
    if fault == "gap":
        counter[10] = np.nan
    elif fault == "reset":
        counter[10:] -= counter[10]
    else:
        times, counter = np.delete(times, [9, 10, 11]), np.delete(counter, [9, 10, 11])

    cells = bytes_of_cells(times, counter, np.arange(0.05, 1.85, 0.1), 0.25)

    unknown = np.flatnonzero(np.isnan(cells))
    assert set(unknown) <= {7, 8, 9, 10, 11}
    assert len(unknown) >= 1
    assert cells[np.isfinite(cells)] == pytest.approx(1e5)


def test_a_value_within_a_gap_is_unknown() -> None:
    times, values = np.array([0.0, 0.1, 1.0, 1.1]), np.array([1.0, 2.0, 3.0, np.nan])

    found = values_at(times, values, np.array([0.05, 0.5, 1.05]), 0.5)

    assert found[0] == pytest.approx(1.5)
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(
    ("step", "interval"), [(0.2, 0.05), (0.35, 0.02), (2.2, 0.02), (9.1, 0.05)]
)
def test_the_period_is_that_of_the_steps_to_a_hundredth(step: float, interval: float) -> None:
    rng = np.random.default_rng(7)
    run = train(bucketed(0.1), step, max(20, 12 * step), rng)
    times, counter = count_bytes(run, Sampling(interval, late=0.02), rng)

    found = _period(_cells(times, counter, interval), interval)

    assert _seconds(found) == pytest.approx(run.period(0, run.seconds), rel=0.01)


def test_micro_batches_are_not_taken_for_steps() -> None:
    rng = np.random.default_rng(8)
    run = train(accumulated(0.1, micro_batches=4), 1.0, 40, rng)

    found = _period(_cells(*count_bytes(run, Sampling(), rng)))

    assert _seconds(found) == pytest.approx(1.0, rel=0.01)


def test_three_periods_are_too_few() -> None:
    times, counter = regular_counter(5.0, 15.0)

    assert _period(_cells(times, counter)) is Unresolved.WARM_UP


def test_three_samples_a_step_are_too_few() -> None:
    times, counter = regular_counter(0.15, 30.0, interval=0.05)

    assert _period(_cells(times, counter, 0.05), 0.05) is Unresolved.SAMPLING


def test_noise_has_no_period() -> None:
    rng = np.random.default_rng(9)

    found = [_period(rng.exponential(1e6, 1500)) for _ in range(20)]

    assert found == [Unresolved.NOISE] * 20


def test_bytes_that_flow_evenly_have_no_period() -> None:
    assert _period(np.full(1000, 5e6)) is Unresolved.NOISE


@given(scale=st.floats(1e-3, 1e6), shift=st.integers(0, 40), period=st.floats(0.2, 1.5))
@settings(max_examples=30)
def test_neither_more_bytes_nor_another_beginning_change_the_period(
    scale: float, shift: int, period: float
) -> None:
    cells = _cells(*regular_counter(period, 30.0))

    before, after = _period(cells[40:]), _period(cells[shift:] * scale)

    assert _seconds(before) == pytest.approx(period, rel=0.01)
    assert _seconds(after) == pytest.approx(period, rel=0.01)


def test_a_step_ends_where_its_last_bytes_were_sent() -> None:
    cells = _cells(*regular_counter(1.0, 30.0, duty=0.4))

    found = find_boundaries(cells, 1.0 / _CELL) * _CELL

    assert np.diff(found) == pytest.approx(1.0, abs=0.01)
    assert found % 1.0 == pytest.approx(0.4, abs=0.02)


def test_steps_of_changing_length_are_told_one_by_one() -> None:
    rng = np.random.default_rng(10)
    run = train(bucketed(0.2), 1.0, 40, rng, Course(variation=0.2))
    cells = _cells(*count_bytes(run, Sampling(), rng))

    found = find_boundaries(cells, 1.0 / _CELL) * _CELL

    lengths = np.diff(found)
    true = np.diff(run.ends)[: len(lengths)]
    assert lengths == pytest.approx(true, abs=0.08)


def test_a_known_boundary_is_kept_and_the_next_ones_follow_it() -> None:
    cells = _cells(*regular_counter(1.0, 10.0, duty=0.4))

    found = find_boundaries(cells, 50.0, first=120.0)

    assert found[0] == 120.0
    assert found[1] == pytest.approx(170, abs=1)


def test_nothing_ends_in_silence() -> None:
    assert len(find_boundaries(np.zeros(500), 50.0)) == 0


def test_a_burst_that_fills_half_a_cell_counts_half() -> None:
    cells = np.array([0, 0, 50, 100, 100, 25, 0, 0, 30, 0, 0.0])

    share = sending(cells, Levels(0.0, 100.0))

    assert share.tolist() == [0, 0, 0.5, 1, 1, 0.25, 0, 0, 0.3, 0, 0]


def test_a_small_floor_of_others_traffic_is_silence() -> None:
    cells = np.tile([5.0] * 6 + [100.0] * 4, 30)
    burst = burst_of(cells)

    assert burst is not None
    assert sending(cells, burst).mean() == pytest.approx(0.4)


def test_where_nothing_moves_there_is_no_burst() -> None:
    assert burst_of(np.zeros(10)) is None
    assert burst_of(np.full(10, np.nan)) is None


def test_a_blurred_edge_is_where_its_middle_is() -> None:
    slope = np.concatenate((np.full(20, 0.9), np.linspace(0.9, 0.1, 9), np.full(20, 0.1)))
    levels = levels_of(slope, slope < 0.5, is_share=True)

    assert levels is not None
    assert computing(slope, levels, 8.0).sum() == pytest.approx(24.5, abs=0.6)


def test_watts_have_a_floor_and_a_flat_line_is_compute() -> None:
    busy, both = np.full(100, 600.0), np.tile([600.0, 600.0, 250.0, 250.0], 25)
    flat = levels_of(busy, busy > 0, is_share=False)
    known = levels_of(both, both < 300, is_share=False)

    assert flat is not None
    assert known is not None
    assert computing(busy, flat, 1.0).mean() == 1.0
    assert computing(both, known, 1.0).mean() == 0.5


def test_a_collective_that_draws_power_does_not_compute_a_little() -> None:
    """An A100 at rest, in a collective and at work; the weights are sent while it rests."""
    watts = np.concatenate((np.full(50, 60.0), np.tile([372.0] * 4 + [179.0] * 6, 30)))
    moving = watts == 179.0
    moving[20:50] = True
    levels = levels_of(watts, moving, is_share=False)

    assert levels is not None
    assert computing(watts, levels, 2.0).sum() == pytest.approx(4 * 30)


def test_a_pause_is_seen_where_all_communication_is_hidden() -> None:
    watts = np.concatenate((np.full(50, 60.0), np.full(300, 372.0)))
    levels = levels_of(watts, watts > 100.0, is_share=False)

    assert levels is not None
    assert computing(watts, levels, 2.0).sum() == pytest.approx(300)


def test_an_unknown_signal_has_no_levels() -> None:
    assert levels_of(np.full(10, np.nan), np.full(10, fill_value=True), is_share=True) is None


@pytest.mark.parametrize("late", [0, 3, 5])
def test_a_signal_that_is_late_is_moved_back_by_as_much(late: int) -> None:
    """Of each 50 cells the rails send in 20 to 40, and the GPUs wait in 30 to 40."""
    sent = np.tile([0.0] * 20 + [1.0] * 20 + [0.0] * 10, 40)
    compute = np.roll(np.tile([1.0] * 30 + [0.0] * 10 + [1.0] * 10, 40), late)

    found = find_lag(sent, compute, np.arange(40, 2000, 50.0), period=50.0)

    assert found is not None
    assert found.cells == pytest.approx(late, abs=0.5)


def test_a_few_steps_tell_no_lag() -> None:
    sent = np.tile([0.0] * 20 + [1.0] * 20 + [0.0] * 10, 4)

    assert find_lag(sent, 1 - sent, np.array([40.0, 90.0, 140.0]), period=50.0) is None


def test_gpus_that_always_compute_have_no_lag_that_matters() -> None:
    sent = np.tile([0.0] * 20 + [1.0] * 20 + [0.0] * 10, 40)
    found = find_lag(sent, np.ones(len(sent)), np.arange(40, 2000, 50.0), period=50.0)

    assert found is not None
    assert found.cells == 0


_SHARES = st.lists(st.floats(0, 1), min_size=30, max_size=30)


@given(sent=_SHARES, active=_SHARES, cuts=st.lists(st.floats(0, 30), min_size=2, max_size=6))
def test_the_parts_of_a_step_add_up_to_it(
    sent: list[float], active: list[float], cuts: list[float]
) -> None:
    edges = np.sort(np.array(cuts))

    parts = split_steps(np.array(sent), np.array(active), edges[:-1], edges[1:])

    total = parts.compute + parts.exposed + parts.stalled + parts.idle
    assert total == pytest.approx(edges[1:] - edges[:-1], abs=1e-9)
    every = (parts.compute, parts.exposed, parts.stalled, parts.idle)
    assert min(part.min() for part in every) >= -1e-9
    assert (parts.exposed <= parts.communication + 1e-9).all()


def test_silence_before_work_is_idle_and_silence_within_it_is_stalled() -> None:
    """Three cells idle, five compute, two stalled, four exposed, of which none is under compute."""
    active = np.array([0.0] * 3 + [1.0] * 5 + [0.0] * 6)
    sent = np.array([0.0] * 10 + [1.0] * 4)

    parts = split_steps(sent, active, np.array([0.0]), np.array([14.0]))

    assert [float(p[0]) for p in (parts.idle, parts.compute, parts.stalled, parts.exposed)] == [
        *(3, 5, 2, 4)
    ]
