"""The ethtool collector of one rail, with a driver of our own."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agent.drivers import FakeStatistics
from agent.fakes import FakeClock, rail
from agent.readings import Readings
from railwatch_agent.collectors.doors import Doors
from railwatch_agent.collectors.ethtool import EthtoolCollector
from railwatch_agent.settings import EthtoolSettings
from railwatch_agent.sources.fec import Fec
from railwatch_agent.sources.link import LinkModes, LinkState, PauseSettings
from railwatch_agent.sources.optics import Module

T = TypeVar("T")


@dataclass
class Answer(Generic[T]):
    """Answers with `value`, or raises `error`."""

    value: T | None = None
    error: Exception | None = None
    asked: int = 0

    def __call__(self, ifindex: int) -> T | None:
        """Return the value."""
        assert ifindex == 7
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.value


@dataclass
class Answers:
    """What the driver answers to each question but that for statistics."""

    fec: Answer[Fec] = field(default_factory=Answer)
    link_state: Answer[LinkState] = field(default_factory=Answer)
    link_modes: Answer[LinkModes] = field(default_factory=Answer)
    port: Answer[str] = field(default_factory=Answer)
    pause: Answer[PauseSettings] = field(default_factory=Answer)
    pfc: Answer[tuple[int, ...]] = field(default_factory=Answer)
    module: Answer[Module] = field(default_factory=Answer)


class EthtoolRail:
    """The collector of one rail; reading the statistics takes `seconds`."""

    def __init__(
        self,
        kept: dict[str, int] | None = None,
        *,
        settings: EthtoolSettings | None = None,
        **facts: object,
    ) -> None:
        self.clock = FakeClock()
        self.statistics = FakeStatistics(kept)
        self.answers = Answers()
        self.rails = [rail(**facts)]
        self.settings = settings or EthtoolSettings()
        self.seconds = 0.0
        self.collector = EthtoolCollector(
            0,
            rails=lambda: tuple(self.rails),
            settings=lambda: self.settings,
            doors=Doors(statistics=self.statistics.open, **vars(self.answers)),
            monotonic=self._monotonic,
        )
        self._asked = 0

    def _monotonic(self) -> float:
        asked, self._asked = self._asked, len(self.statistics.asked)
        self.clock.advance(self.seconds * (self._asked - asked))
        return self.clock.monotonic()

    def collect(self) -> Readings:
        """Return one round; the next is due when it has been taken."""
        readings = list(self.collector.collect())
        self.clock.advance(self.collector.interval_seconds)
        return readings
