"""What a running job asks of its rails."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch_analyzer.plan.demand import demand_ratio

_SOME = st.floats(min_value=1e-3, max_value=1e12)


def test_at_one_the_rails_run_at_line_rate_for_all_that_is_not_exposed() -> None:
    """2 s at 25 Gbit/s carry 6.25 GB, and half a second more was exposed."""
    ratio = demand_ratio(6.25e9, step_seconds=2.5, line_rate=3.125e9, exposed_seconds=0.5)

    assert ratio == 1.0


def test_the_llama_job_asks_half_a_percent_of_its_rails() -> None:
    """5.05 GB a rail and step of 45.8 s on 200 Gbit/s, nothing known of what is exposed."""
    ratio = demand_ratio(5.05e9, step_seconds=45.786, line_rate=25e9)

    assert ratio == pytest.approx(0.00441, rel=1e-3)


@settings(deadline=None)
@given(sent=_SOME, step=_SOME, rate=_SOME)
def test_without_knowing_what_is_exposed_the_ratio_is_a_lower_bound(
    sent: float, step: float, rate: float
) -> None:
    least = demand_ratio(sent, step_seconds=step, line_rate=rate)
    known = demand_ratio(sent, step_seconds=step, line_rate=rate, exposed_seconds=step / 3)

    assert least is not None
    assert known is not None
    assert known >= least


@pytest.mark.parametrize(
    ("sent", "step", "rate", "exposed"),
    [
        (1.0, 0.0, 1.0, 0.0),
        (1.0, 1.0, 0.0, 0.0),
        (1.0, 1.0, 1.0, 1.0),
        (-1.0, 1.0, 1.0, 0.0),
        (1.0, 1.0, 1.0, -0.5),
        (math.nan, 1.0, 1.0, 0.0),
        (1.0, math.nan, 1.0, 0.0),
        (1.0, 1.0, math.inf, 0.0),
        (1.0, 1.0, 1.0, math.nan),
    ],
)
def test_what_is_no_measurement_has_no_ratio(
    sent: float, step: float, rate: float, exposed: float
) -> None:
    ratio = demand_ratio(sent, step_seconds=step, line_rate=rate, exposed_seconds=exposed)

    assert ratio is None
