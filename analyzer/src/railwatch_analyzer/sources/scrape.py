# SPDX-License-Identifier: Apache-2.0
"""Scrapes the agents themselves: the analyzer without a Prometheus."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch.catalogue.metric import PREFIX
from railwatch.exposition import ExpositionError, Reader
from railwatch_analyzer.frame import Frame, FrameBuilder
from railwatch_analyzer.sources.base import FETCHED_NAMES
from railwatch_analyzer.sources.http_client import Access, FetchError, HttpClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from railwatch.clock import Clock

log = logging.getLogger(__name__)

# An agent exposes 1,000 series, about 150 kB.
_MOST_BYTES = 8 * 2**20
# Ten times what an agent shows by default. Whoever shows more costs the others' time, for what is
# read here keeps all of them waiting.
_MOST_LINES = 30_000
_LONGEST_LINE = 4096
# Of one node, each a link or a job to be remembered; no node has so many.
_MOST_RAILS = 64
_MOST_JOBS = 256
# Texts of series; agents of one kind share most of them.
_MOST_REMEMBERED = 200_000
# An answer comes within milliseconds; whoever needs longer must not eat the others' time.
_TIMEOUT_SHARE = 0.3
_LONGEST_TIMEOUT_SECONDS = 5.0
# In flight at once; keeps the wait for this process's own CPU well below the time-out.
_CONCURRENT = 32


@dataclass(frozen=True, slots=True)
class Target:
    """An agent: where it listens (`host:port`) and the name of its node."""

    address: str
    node: str


class ScrapeSource:
    """Asks all agents at once, every cycle of *interval_seconds*.

    An agent that fails, answers late or says nonsense is `missed` and costs nothing else. With
    `access.tls` the agents are asked over HTTPS.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        clock: Clock,
        *,
        interval_seconds: float,
        access: Access | None = None,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        access = access or Access()
        self._targets = tuple(targets)
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._timeout_seconds = min(_TIMEOUT_SHARE * interval_seconds, _LONGEST_TIMEOUT_SECONDS)
        self._scheme = "http" if access.tls is None else "https"
        self._client = HttpClient(access, clock, most_bytes=most_bytes)
        # Shared, as agents of one kind expose the same series.
        self._reader = Reader(longest_line=_LONGEST_LINE, most_remembered=_MOST_REMEMBERED)
        self._failing: frozenset[Target] = frozenset()

    def fetch(self) -> Frame:
        """Scrape every target once; those without a usable answer are in `missed`."""
        builder = FrameBuilder(self._clock.wall(), self._interval_seconds)
        failures = self._client.run(self._scrape_all(builder))
        self._report(failures)
        # Answers came in while the round looked, and nothing in a frame is younger than it.
        builder.time = max(builder.time, self._clock.wall())
        return builder.build(missed=tuple(sorted(target.node for target in failures)))

    def close(self) -> None:
        """Close the connections to the agents."""
        self._client.close()

    async def _scrape_all(self, builder: FrameBuilder) -> dict[Target, str]:
        """Scrape into *builder*; return why, for each target that failed."""
        slots = asyncio.Semaphore(_CONCURRENT)
        late = f"its turn did not come within the cycle of {self._interval_seconds:g} s"

        async def scrape(target: Target) -> str | None:
            try:
                async with asyncio.timeout(self._interval_seconds), slots:
                    await self._scrape(target, builder)
            except TimeoutError:
                return late
            except (FetchError, ExpositionError, UnicodeDecodeError) as exc:
                return str(exc)
            return None

        reasons = await asyncio.gather(*(scrape(target) for target in self._targets))
        pairs = zip(self._targets, reasons, strict=True)
        return {target: reason for target, reason in pairs if reason is not None}

    async def _scrape(self, target: Target, builder: FrameBuilder) -> None:
        answer = await self._client.get(
            f"{self._scheme}://{target.address}/metrics", within_seconds=self._timeout_seconds
        )
        if answer.status != 200:
            raise FetchError(f"answers with status {answer.status}")
        if answer.body.count(b"\n") > _MOST_LINES:
            raise FetchError(f"the answer has more than {_MOST_LINES} lines")
        # All of it is read before any of it counts: half an answer is none.
        for name, labels, value in self._read(answer.body.decode("utf-8")):
            builder.add(target.node, name, labels, value, answer.answered_at)

    def _read(self, text: str) -> list[tuple[str, dict[str, str], float]]:
        """Return name, labels and value of the series of *text* that a frame holds."""
        is_agent = False
        found = []
        for series, value in self._reader.read(text):
            if series.name in FETCHED_NAMES:
                found.append((series.name, dict(series.labels), value))
            is_agent = is_agent or series.name.startswith(PREFIX)
        if not is_agent:
            raise FetchError("the answer holds no series of an agent")
        _refuse_many("rail", "device", _MOST_RAILS, found)
        _refuse_many("job_id", "source", _MOST_JOBS, found)
        return found

    def _report(self, failures: dict[Target, str]) -> None:
        """Log each target that began to fail or works again, once."""
        for target, reason in failures.items():
            if target not in self._failing:
                log.warning("agent missed node=%s address=%s: %s", *_names(target), reason)
        for target in self._failing - failures.keys():
            log.info("agent answers again node=%s address=%s", *_names(target))
        self._failing = frozenset(failures)


def _refuse_many(
    label: str, also: str, most: int, found: Iterable[tuple[str, Mapping[str, str], float]]
) -> None:
    """Raise FetchError if a node shows more than *most* of what two labels name."""
    named = {(labels[label], labels.get(also)) for _, labels, _ in found if label in labels}
    if len(named) > most:
        raise FetchError(f"the answer has {len(named)} values of {label}, more than {most}")


def _names(target: Target) -> tuple[str, str]:
    return target.node, target.address
