"""Jobs that mark their steps on a node, without the socket: a desk, a tape, and time."""

from collections.abc import Sequence
from pathlib import Path

from agent.job_node import ALICE, JobNode
from agent.readings import values
from railwatch.catalogue.metric import Distribution, MetricSpec, Sample
from railwatch.catalogue.node import AGENT_MARKERS, MarkerOutcome
from railwatch.catalogue.step import STEP_SECONDS
from railwatch_agent.collectors.marker import marker_samples
from railwatch_agent.markers.desk import Desk
from railwatch_agent.sources.marker_socket import Datagram
from railwatch_agent.tape import Tape


class MarkedJobs:
    """A node with jobs, a desk, and a tape on which each rail sends 1000 bytes a second."""

    def __init__(self, root: Path, **job: str) -> None:
        self.node = JobNode(root, **job)
        self.now = 1000.0
        self.tape = Tape(6000)
        self.written = 0
        self.desk = Desk(
            identity=self.node.census.identity,
            places=self.node.census.places,
            tape=self.tape,
            sample_seconds=lambda: 0.02,
        )

    def send(self, text: str | bytes, pid: int = 11, uid: int = ALICE) -> int:
        """Have a process send a datagram now; return its cost."""
        data = text.encode() if isinstance(text, str) else text
        return self.desk.take(Datagram(data, pid, uid, is_truncated=False), self.now)

    def step(self, number: int, seconds: float = 1.0, more: str = "", **sender: int) -> None:
        """Have a step end now."""
        start = self.now - seconds
        self.send(f"rank=0 step={number} start={start} end={self.now} {more}", **sender)

    def steps(self, numbers: Sequence[int], more: str = "", **sender: int) -> None:
        """Have steps of a second follow each other."""
        for number in numbers:
            self.pass_time(1.0)
            self.step(number, more=more, **sender)

    def pass_time(self, seconds: float) -> None:
        """Have time pass, and rails send."""
        self.now += seconds
        self.node.clock.advance(seconds)
        while self.written < 50 * (self.now - 990.0):
            time = 990.0 + self.written / 50
            for rail in self.node.rails:
                self.tape.track(rail.number).append(time, 0.0, 20.0 * self.written)
            self.written += 1

    def samples(self) -> list[Sample]:
        """Settle, and return what would be exposed."""
        self.desk.settle(self.now)
        return list(marker_samples(self.desk))

    def total(self, spec: MetricSpec, job: str = "a") -> float | None:
        """Return a total of a job's steps; of a summary the sum."""
        found = [s.value for s in self.samples() if s.spec is spec and s.labels[:1] == (job,)]
        if not found:
            return None
        return found[0].sum if isinstance(found[0], Distribution) else found[0]

    def count(self, job: str = "a") -> int:
        """Return how many steps of a job are counted."""
        found = [s.value for s in self.samples() if s.spec is STEP_SECONDS and job in s.labels]
        return sum(held.count for held in found if isinstance(held, Distribution))

    def outcomes(self) -> tuple[object, ...]:
        """Return how many were accepted, malformed and dropped."""
        counted = values(list(marker_samples(self.desk)), AGENT_MARKERS)
        return tuple(counted[outcome,] for outcome in MarkerOutcome)
