"""The agent's budget of processor time."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import FakeClock
from railwatch_agent.agent import Agent
from railwatch_agent.settings import load_settings
from railwatch_agent.throttle import PERIOD_SECONDS, Throttle

_BUDGET = 0.02


def _after(throttle: Throttle, *shares: float) -> Throttle:
    """Return how things stand after periods in which such shares of a core were used."""
    if throttle.began_at is None:
        throttle = throttle.after(-PERIOD_SECONDS, 0.0)
    now, cpu = throttle.began_at or 0.0, throttle.cpu_seconds
    if not throttle.has_started:
        now = 0.0
    throttle = throttle.after(now, cpu)
    for share in shares:
        now, cpu = now + PERIOD_SECONDS, cpu + share * PERIOD_SECONDS
        throttle = throttle.after(now, cpu)
    return throttle


def test_within_the_budget_nothing_is_slowed_down() -> None:
    assert _after(Throttle(_BUDGET), *[0.019] * 20).factor == 1


def test_each_period_over_the_budget_halves_the_rate() -> None:
    factors = [_after(Throttle(_BUDGET), *[0.03] * periods).factor for periods in range(7)]

    assert factors == [1, 2, 4, 8, 16, 16, 16]


def test_the_middle_of_a_period_decides_nothing() -> None:
    throttle = _after(Throttle(_BUDGET))

    assert throttle.after(PERIOD_SECONDS / 2, 10.0).factor == 1


def test_what_starting_costs_is_no_reason() -> None:
    throttle = Throttle(_BUDGET).after(0.0, 0.0).after(PERIOD_SECONDS, 10.0)

    assert throttle.factor == 1
    assert throttle.after(2 * PERIOD_SECONDS, 10.0 + 0.03 * PERIOD_SECONDS).factor == 2


def test_the_rate_is_doubled_once_that_has_long_been_bearable() -> None:
    slowed = _after(Throttle(_BUDGET), 0.03)

    assert _after(slowed, *[0.008] * 9).factor == 2
    assert _after(slowed, *[0.008] * 10).factor == 1


def test_what_would_be_over_the_budget_again_stays_slow() -> None:
    """Half the rate costs 1.5 %: at the whole one it would be over."""
    assert _after(Throttle(_BUDGET), 0.03, *[0.015] * 100).factor == 2


def test_one_dear_period_begins_the_wait_anew() -> None:
    slowed = _after(Throttle(_BUDGET), 0.03, *[0.008] * 9, 0.015)

    assert _after(slowed, *[0.008] * 9).factor == 2


@given(shares=st.lists(st.floats(0.0, 1.0), max_size=60))
def test_the_factor_is_a_power_of_two_within_bounds(shares: list[float]) -> None:
    assert _after(Throttle(_BUDGET), *shares).factor in {1, 2, 4, 8, 16}


def test_an_agent_over_its_budget_says_so_in_a_metric_and_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'[paths]\nstate = "{tmp_path}"\n[sampler]\ncpu_budget_ratio = 0.001\n')
    clock = FakeClock()
    agent = Agent(load_settings(file, {}, {}), clock=clock, version="1")
    before = agent.metrics().decode()
    agent._keep_budget()
    clock.advance(PERIOD_SECONDS)
    agent._keep_budget()
    used = time.process_time()
    while time.process_time() - used < 2 * 0.001 * PERIOD_SECONDS:
        pass
    clock.advance(PERIOD_SECONDS)
    agent._keep_budget()
    agent._keep_budget()

    assert "railwatch_agent_throttled 0\n" in before
    assert "railwatch_agent_throttled 1\n" in agent.metrics().decode()
    assert "railwatch_agent_sampler_interval_seconds 0.04\n" in agent.metrics().decode()
    assert [r.message for r in caplog.records if "budget" in r.message] == [
        "over the budget of 0.1 % of a core: a sample each 0.04 s"
    ]
