# SPDX-License-Identifier: Apache-2.0
"""The analyzer as a service: a round a cycle, its state kept, its results served."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from railwatch.exposition import CONTENT_TYPE, Renderer
from railwatch.web import Request, Response
from railwatch_analyzer.findings import FindingState
from railwatch_analyzer.jobs.publish import job_samples, jobs_view
from railwatch_analyzer.publish import Meters, link_samples, self_samples
from railwatch_analyzer.round import judge
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.store import save
from railwatch_analyzer.view import links_view

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from railwatch.clock import Clock
    from railwatch.web import Route
    from railwatch_analyzer.closeup import CloseUps
    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.frame import Frame
    from railwatch_analyzer.sources.base import Source
    from railwatch_analyzer.state import State

log = logging.getLogger(__name__)

# Resolved findings that the API still answers.
_REMEMBERED = 1000
_JSON = "application/json"
# The longest question has 10 s for its answer, and judging 80,000 links takes seconds.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Published:
    """What the last round left for readers; replaced as a whole, so that none sees half of it."""

    state: State
    meters: Meters
    window_seconds: float
    ended: tuple[Finding, ...]


class Analyzer:
    """Makes a round of *source* every *interval_seconds* and answers for the newest.

    A round that fails changes nothing but a counter: what was known stands, and its age shows.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        interval_seconds: float,
        state: State,
        state_file: Path | None,
        closeups: CloseUps | None = None,
    ) -> None:
        self._closeups = closeups
        self._source = source
        self._clock = clock
        self._interval_seconds = interval_seconds
        # What is to be asked from the next round on, and how often.
        self._successors: deque[tuple[Source, float]] = deque()
        self._began_at: float | None = None
        self._state_file = state_file
        self._published = Published(state, Meters(), 5.0, ())
        self._ended: deque[Finding] = deque(maxlen=_REMEMBERED)
        self._renderer = Renderer()
        self._rendering = threading.Lock()
        # What every exporter says of its process, in a registry of its own.
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._complaint = ""

    def adopt(self, source: Source, interval_seconds: float) -> None:
        """Ask *source* from the next round on, and close the one before; what is known stays."""
        self._successors.append((source, interval_seconds))

    def run(self, stop: threading.Event) -> None:
        """Make rounds on a steady cadence until *stop* is set."""
        due = self._clock.monotonic()
        while not stop.is_set():
            self._follow()
            self._began_at = self._clock.monotonic()
            self.round()
            self._began_at = None
            now = self._clock.monotonic()
            # After an overlong round the next one comes at its own time, not in a burst.
            due += (max(now - due, 0.0) // self._interval_seconds + 1.0) * self._interval_seconds
            self._clock.wait(stop, due - now)

    def round(self) -> None:
        """Make one round; never raises for what a source or a disk does."""
        began = self._clock.monotonic()
        try:
            frame = self._source.fetch()
            fetched = self._clock.monotonic()
            state, lines = judge(self._published.state, frame)
        except SourceError as exc:
            self._fail(str(exc))
            return
        except Exception as exc:
            # A fault of ours in one round must not end the service; the counter pages.
            self._fail(f"{type(exc).__name__}: {exc}", fault=exc)
            return
        judged = self._clock.monotonic()
        self._complaint = ""
        self._tell(lines)
        self._publish(state, frame, fetched - began, judged - fetched)
        if self._closeups is not None:
            self._closeups.follow(state)

    def close(self) -> None:
        """Close what is asked; for the thread that made the rounds, or after it."""
        self._follow()
        self._source.close()

    def is_healthy(self) -> bool:
        """Whether no round has been under way for longer than any should take."""
        began_at = self._began_at
        patience = max(_PATIENCE_SECONDS, 3 * self._interval_seconds)
        return began_at is None or self._clock.monotonic() - began_at < patience

    def is_ready(self) -> bool:
        """Whether a round was attempted."""
        meters = self._published.meters
        return meters.rounds + meters.round_errors > 0

    def status(self) -> str:
        """Return in a line how things are."""
        published = self._published
        return (
            f"nodes={published.meters.seen} missed={published.meters.missed} "
            f"firing={len(published.state.standing)} failing={self._complaint or 'none'}"
        )

    def routes(self) -> Mapping[str, Route]:
        """Return path → function for `railwatch.web.Server`."""
        return {
            "/metrics": self._metrics,
            "/api/v1/findings": self._findings,
            "/api/v1/links": self._links,
            "/api/v1/jobs": self._jobs,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            "/": _landing,
        }

    def _follow(self) -> None:
        """Go over to the source that was adopted last, if there is one."""
        while self._successors:
            self._source.close()
            self._source, self._interval_seconds = self._successors.popleft()

    def _publish(
        self, state: State, frame: Frame, fetch_seconds: float, judge_seconds: float
    ) -> None:
        meters = replace(
            self._published.meters,
            rounds=self._published.meters.rounds + 1,
            fetch_seconds=fetch_seconds,
            judge_seconds=judge_seconds,
            last_round=self._clock.wall(),
            seen=len({link.node for link in frame.links}),
            missed=len(frame.missed),
        )
        meters = self._save(state, meters)
        ended = tuple(self._ended)
        self._published = Published(state, meters, frame.window_seconds, ended)

    def _save(self, state: State, meters: Meters) -> Meters:
        if self._state_file is None:
            return meters
        try:
            save(state, self._state_file)
        except OSError as exc:
            if meters.save_errors == 0:
                log.warning("state cannot be saved path=%s: %s", self._state_file, exc.strerror)
            return replace(meters, save_errors=meters.save_errors + 1)
        return meters

    def _fail(self, reason: str, *, fault: Exception | None = None) -> None:
        """Count a round that gave nothing; a *fault* is ours and logged with its traceback."""
        if reason != self._complaint:
            log.warning("round failed: %s", reason, exc_info=fault)
            self._complaint = reason
        meters = self._published.meters
        failed = replace(meters, round_errors=meters.round_errors + 1)
        self._published = replace(self._published, meters=failed)

    def _tell(self, lines: list[Finding]) -> None:
        for finding in lines:
            log.info(
                "finding %s kind=%s node=%s rail=%s device=%s job_id=%s cause=%s id=%s",
                finding.state,
                finding.kind,
                finding.node,
                finding.rail,
                finding.device,
                finding.job_id,
                finding.cause,
                finding.id,
            )
            if finding.state == "resolved":
                self._ended.append(finding)

    def _metrics(self, _request: Request) -> Response:
        published = self._published
        with self._rendering:
            body = self._renderer.render(
                [
                    *self_samples(published.state, published.meters),
                    *link_samples(published.state),
                    *job_samples(published.state.jobs),
                ]
            )
        return Response(body + generate_latest(self._process), CONTENT_TYPE)

    def _findings(self, request: Request) -> Response:
        """Newest state of each finding, firing first; `?state=firing` for those alone."""
        published = self._published
        state = published.state
        firing = [*state.standing.values(), *state.jobs.standing.values()]
        found = [*firing, *reversed(published.ended)]
        wanted = request.query.get("state")
        return _json([self._with_closeup(f) for f in found if wanted in (None, f.state)])

    def _with_closeup(self, finding: Finding) -> dict[str, Any]:
        seen = finding.as_json()
        if self._closeups is not None and finding.state is FindingState.FIRING:
            more = self._closeups.evidence(finding.node, finding.rail, finding.device)
            seen["evidence"] = [*seen["evidence"], *map(asdict, more)]
        return seen

    def _links(self, _request: Request) -> Response:
        published = self._published
        meters = published.meters
        return _json(
            {
                "time": published.state.time,
                "rounds": meters.rounds,
                "round_errors": meters.round_errors,
                "complaint": self._complaint,
                "trained": published.state.detector is not None,
                "nodes_seen": meters.seen,
                "nodes_missed": meters.missed,
                "window_seconds": published.window_seconds,
                "links": links_view(published.state, published.window_seconds),
            }
        )

    def _jobs(self, _request: Request) -> Response:
        state = self._published.state
        return _json({"time": state.time, "jobs": jobs_view(state.jobs)})

    def _healthy(self, _request: Request) -> Response:
        if not self.is_healthy():
            return Response(b"a round does not end\n", status=503)
        return Response(b"healthy\n")

    def _ready(self, _request: Request) -> Response:
        if not self.is_ready():
            return Response(b"no round attempted yet\n", status=503)
        return Response(b"ready\n")


def _json(content: object) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), _JSON)


def _landing(_request: Request) -> Response:
    body = (
        b"<!doctype html><html lang=en><meta charset=utf-8><title>railwatch analyzer</title>"
        b"<h1>railwatch analyzer</h1><ul>"
        b"<li><a href=/metrics>metrics</a>"
        b"<li><a href=/api/v1/findings>findings</a>"
        b"<li><a href=/api/v1/links>links</a>"
        b"<li><a href=/api/v1/jobs>jobs</a></ul>"
    )
    return Response(body, "text/html; charset=utf-8")
