# SPDX-License-Identifier: Apache-2.0
"""The Prometheus source against a real Prometheus that scrapes two exporters every second."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from railwatch.clock import SystemClock
from railwatch_analyzer.sources.prometheus import PrometheusSource
from support.conditions import wait_until
from support.exporter import Exporter
from support.prometheus import Prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from railwatch_analyzer.frame import Frame

_PATIENCE_SECONDS = 30.0


class Stack:
    """Two exporters, the Prometheus that scrapes them, and the source that asks it."""

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        self.leaver = Exporter(_text(1000))
        self._leaving = ExitStack()
        self._leaving.enter_context(self.leaver)
        opened.enter_context(self._leaving)
        self.stayer = opened.enter_context(Exporter(_text(9007199254740991)))
        self.addresses = (self.leaver.address, self.stayer.address)
        self._prometheus = opened.enter_context(
            Prometheus(directory, {"railwatch-agent": self.addresses})
        )
        source = PrometheusSource(
            self._prometheus.url, SystemClock(), matchers=('job="railwatch-agent"',)
        )
        self._source = opened.enter_context(closing(source))

    def fetch(self) -> Frame:
        """Return what the source sees now."""
        return self._source.fetch()

    def leave(self) -> None:
        """Let the first exporter go away."""
        self._leaving.close()

    def wait_for_both(self) -> Frame:
        """Return the first frame in which both nodes are known at their true pace."""

        def both() -> Frame | None:
            frame = self.fetch()
            return frame if len(frame.links) == 2 and frame.interval_seconds < 1.5 else None

        return _ready(wait_until(both, _PATIENCE_SECONDS, "two nodes sampled every second"))


def _ready(frame: Frame | None) -> Frame:
    assert frame is not None
    return frame


def _text(sent: int) -> str:
    rail = 'rail="0",device="mlx5_0"'
    return (
        f"railwatch_rail_up{{{rail}}} 1\n"
        f"railwatch_rail_transmit_bytes_total{{{rail}}} {sent}\n"
        f'railwatch_rail_faults_total{{{rail},kind="retransmit"}} 7\n'
        f'railwatch_rail_job_info{{{rail},job_id="4242"}} 1\n'
        "railwatch_agent_window_seconds 5\n"
        "railwatch_agent_window_end_timestamp_seconds 1700000000\n"
    )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as opened:
        yield Stack(tmp_path, opened)


def _sent(frame: Frame, node: str) -> float:
    row = [link.node for link in frame.links].index(node)
    return float(frame["transmit_bytes_total"][row])


def test_values_come_back_exact_and_with_their_own_times(stack: Stack) -> None:
    frame = stack.wait_for_both()

    # Both run on one host, so that only their ports tell them apart.
    assert {link.node for link in frame.links} == set(stack.addresses)
    assert _sent(frame, stack.stayer.address) == 9007199254740991.0
    assert frame["up"].tolist() == [1.0, 1.0]
    assert frame["faults_total_retransmit"].tolist() == [7.0, 7.0]
    assert frame.job_id == ("4242", "4242")
    assert frame.window_end.tolist() == [1_700_000_000.0] * 2
    assert frame.interval_seconds == pytest.approx(1.0, abs=0.3)
    assert frame.missed == ()
    # Times of scrapes, which Prometheus spreads over the interval, and not of the question.
    assert frame.sampled_at[0] != frame.sampled_at[1]
    assert (frame.sampled_at <= frame.time).all()
    assert (frame.sampled_at > frame.time - _PATIENCE_SECONDS).all()


def test_an_unchanged_sample_keeps_its_time(stack: Stack) -> None:
    """Two questions within one scrape interval find the same sample, not a newer one."""
    stack.wait_for_both()

    def twice() -> bool:
        first, second = stack.fetch(), stack.fetch()
        return second.time > first.time and first.sampled_at.tolist() == second.sampled_at.tolist()

    assert wait_until(twice, _PATIENCE_SECONDS, "the same samples twice")


def test_a_target_that_goes_away_becomes_missing(stack: Stack) -> None:
    stack.wait_for_both()
    gone_at = time.time()

    stack.leave()
    wait_until(lambda: stack.fetch().missed, 2 * _PATIENCE_SECONDS, "a missed node")

    frame = stack.fetch()
    assert frame.missed == (stack.leaver.address,)
    assert [link.node for link in frame.links] == [stack.stayer.address]
    assert frame.time - gone_at > 10.0


def test_the_restart_of_a_counter_is_visible(stack: Stack) -> None:
    before = stack.wait_for_both()

    stack.leaver.set_text(_text(3))
    wait_until(
        lambda: _sent(stack.fetch(), stack.leaver.address) == 3.0,
        _PATIENCE_SECONDS,
        "the counter after its restart",
    )

    after = stack.fetch()
    assert _sent(before, stack.leaver.address) == 1000.0
    assert _sent(after, stack.stayer.address) == _sent(before, stack.stayer.address)
    assert after.sampled_at.min() > before.sampled_at.min()
