"""Stand-ins for time, sources and collectors."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.clock import SystemClock
from railwatch_agent.inventory import Rail


class FakeClock:
    """A clock that stands still until it is moved; waiting moves it."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self.now = monotonic
        self.wall_offset = wall - monotonic

    def monotonic(self) -> float:
        """Seconds as the test has set them."""
        return self.now

    def wall(self) -> float:
        """Unix seconds that go with them."""
        return self.now + self.wall_offset

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let *seconds* pass unless the event is set."""
        if event.is_set():
            return True
        self.now += max(seconds, 0.0)
        return False


class ForwardClock(SystemClock):
    """The machine's clock, which a test puts forward by `offset` seconds."""

    def __init__(self) -> None:
        self.offset = 0.0

    def monotonic(self) -> float:
        """Seconds, put forward."""
        return super().monotonic() + self.offset


@dataclass
class FakeCollector:
    """Answers with what `answer` returns or raises what it raises."""

    answer: Callable[[], list[Sample | ReadFailure]]
    name: str = "fake"
    interval_seconds: float = 1.0

    def __hash__(self) -> int:
        return id(self)

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield the answer."""
        yield from self.answer()


@dataclass(frozen=True)
class FakeQueue:
    """A queueing discipline."""

    backlog_bytes: int
    drops: int


@dataclass
class FakeQueueSource:
    """Answers with `queues`, or raises `error`."""

    queues: dict[int, FakeQueue] = field(default_factory=dict)
    error: Exception | None = None
    on_read: Callable[[], None] = lambda: None

    def read(self) -> Mapping[int, FakeQueue]:
        """Return the queues."""
        self.on_read()
        if self.error is not None:
            raise self.error
        return self.queues


def rail(number: int = 0, netdev: str = "rail0", **changes: object) -> Rail:
    """Return a rail that is there."""
    facts: dict[str, object] = {
        "number": number,
        "device": netdev,
        "netdev": netdev,
        "kind": "roce",
        "driver": "mlx5_core",
        "pci_address": "0000:3b:00.0",
        "numa_node": 0,
        "gpu": None,
        "selected_by": "rdma",
        "line_rate_override": None,
        "ifindex": 7,
    }
    return Rail(**{**facts, **changes})  # type: ignore[arg-type] # the facts are a rail's
