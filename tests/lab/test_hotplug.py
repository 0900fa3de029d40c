"""Interfaces of a real kernel that are renamed, go and come back under a running agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.node import Plugged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.program import Program

_SENT = "railwatch_rail_transmit_bytes_total"
_PRESENT = "railwatch_rail_present"
_PEAK = "railwatch_rail_transmit_window_max_bytes_per_second"
_WINDOW_END = "railwatch_agent_window_end_timestamp_seconds"
# Far above what an interface says of its own accord, far below what was sent before.
_QUIET = 200_000.0
_DATAGRAMS = 20_000
_WINDOW = ("--sampler.window_seconds", "1")


@pytest.fixture
def plugged() -> Iterator[Plugged]:
    with Plugged() as made:
        yield made


@pytest.fixture
def configured(plugged: Plugged, tmp_path: Path) -> Iterator[Program]:
    """An agent whose rail is named."""
    with plugged.agent(tmp_path, *_WINDOW, toml='[[rails]]\ndevice = "rail0"\n') as agent:
        agent.wait_for_value(1, _PRESENT, rail="0", device="rail0")
        yield agent


def _let_quiet_windows_pass(agent: Program, count: int = 3) -> float:
    """Return the highest peak of the next windows."""
    ends: set[float] = set()
    peaks = [0.0]

    def passed() -> bool:
        end = agent.value(_WINDOW_END)
        if end is not None:
            ends.add(end)
        peaks.append(agent.value(_PEAK, rail="0") or 0.0)
        return len(ends) > count

    agent.wait_until(passed, "windows")
    return max(peaks)


def _send_and_fall_silent(plugged: Plugged, agent: Program) -> float:
    """Send 20 MB, wait until no window has any of it, and return the agent's count."""
    plugged.send(_DATAGRAMS)
    sent = plugged.transmitted_bytes("rail0")
    agent.wait_until(lambda: (agent.value(_SENT, rail="0") or 0) >= sent, "the bytes")
    agent.wait_until(lambda: _let_quiet_windows_pass(agent, 1) < _QUIET, "silence")
    return agent.value(_SENT, rail="0") or 0.0


def test_an_interface_that_is_renamed_is_the_same_rail_and_its_counters_go_on(
    plugged: Plugged, tmp_path: Path
) -> None:
    """The default route's, as hardware cannot be had here: its number goes with the route."""
    with plugged.agent(tmp_path, *_WINDOW) as agent:
        agent.wait_for_value(1, _PRESENT, rail="0", device="rail0")
        before = _send_and_fall_silent(plugged, agent)
        plugged.rename("rail0", "ens1")
        agent.wait_for_value(1, _PRESENT, rail="0", device="ens1")
        peak = _let_quiet_windows_pass(agent)
        after = agent.value(_SENT, rail="0", device="ens1")

        assert after is not None
        assert before <= after <= plugged.transmitted_bytes("ens1")
        assert before > 1000 * _DATAGRAMS
        assert peak < _QUIET
        assert agent.value("railwatch_agent_rails") == 1


def test_a_rail_that_goes_and_comes_back_keeps_its_number_and_begins_anew(
    plugged: Plugged, configured: Program
) -> None:
    agent = configured
    before = _send_and_fall_silent(plugged, agent)
    plugged.pull_out()
    agent.wait_for_value(0, _PRESENT, rail="0", device="rail0")
    agent.wait_for_value(None, _SENT, rail="0")
    up = agent.value("railwatch_rail_up", rail="0")
    plugged.plug_in()
    agent.wait_for_value(1, _PRESENT, rail="0", device="rail0")
    agent.wait_until(lambda: agent.value(_SENT, rail="0") is not None, "its bytes")
    peak = _let_quiet_windows_pass(agent)
    after = agent.value(_SENT, rail="0") or 0.0
    plugged.send(10)
    agent.wait_until(lambda: (agent.value(_SENT, rail="0") or 0) >= after + 10_000, "more")

    assert up == 0
    assert after < before / 10
    assert peak < _QUIET
    assert agent.value("railwatch_agent_rails") == 1


def test_a_rail_that_is_configured_by_a_name_is_missing_while_it_has_another(
    plugged: Plugged, configured: Program
) -> None:
    before = _send_and_fall_silent(plugged, configured)
    plugged.rename("rail0", "ens1")
    configured.wait_for_value(0, _PRESENT, rail="0", device="rail0")
    plugged.rename("ens1", "rail0")
    configured.wait_for_value(1, _PRESENT, rail="0", device="rail0")
    configured.wait_until(lambda: (configured.value(_SENT, rail="0") or 0) >= before, "its bytes")

    assert _let_quiet_windows_pass(configured) < _QUIET
    assert (configured.value(_SENT, rail="0") or 0) <= plugged.transmitted_bytes("rail0")
