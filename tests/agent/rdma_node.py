"""A node with RDMA as far as it is of interest here: rails, their collectors and their bytes."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent.fakes import FakeClock
from agent.trees import Tree
from railwatch.catalogue.metric import MetricSpec, Sample
from railwatch.catalogue.rail import RAIL_RECEIVE_BYTES, RAIL_TRANSMIT_BYTES
from railwatch.exposition import Renderer
from railwatch_agent.collectors.infiniband import InfinibandCollector
from railwatch_agent.collectors.netdev import NetdevCollector
from railwatch_agent.collectors.pcie import PcieCollector
from railwatch_agent.duties import Duty
from railwatch_agent.inventory import Inventory, Rail
from railwatch_agent.numbering import BookFile
from railwatch_agent.rail_bytes import byte_counters
from railwatch_agent.snapshot import Snapshot
from railwatch_agent.sources.files import CounterFile
from railwatch_agent.sources.infiniband import PortCounter
from railwatch_agent.stations import RailStation
from railwatch_agent.tape import Tape

_BYTES = (RAIL_RECEIVE_BYTES, RAIL_TRANSMIT_BYTES)
_SHOWN = ("railwatch_rail_", "railwatch_rdma_", "railwatch_agent_read_errors_")


class Alone(PortCounter):
    """A counter that is not read together with others, so that a test sees each read."""

    def read(self) -> int | None:
        """Read, and leave no descriptor for others."""
        value = super().read()
        self.close()
        return value


class RdmaNode:
    """Scans, collects and samples when it is told to."""

    def __init__(
        self,
        root: Path,
        tree: Tree,
        *,
        allowed: Sequence[str] = (),
        open_counter: Callable[[Path], CounterFile] = PortCounter,
    ) -> None:
        self.tree = tree
        self.clock = FakeClock()
        self.tape = Tape(100)
        self.inventory = Inventory(
            sysfs=tree.sysfs,
            procfs=tree.procfs,
            configured=(),
            book_file=BookFile(root / "state"),
            clock=self.clock,
        )
        self.allowed = allowed
        self._open = open_counter
        self._stations: dict[int, RailStation] = {}
        self._duties: dict[int, list[Duty]] = {}
        self._snapshot = Snapshot(duties=self, live=lambda: (), version="1")

    def __iter__(self) -> Iterator[Duty]:
        return iter([duty for duties in self._duties.values() for duty in duties])

    def rails(self) -> tuple[Rail, ...]:
        """Scan, and return the rails."""
        assert list(self.inventory.collect()) == []
        return self.inventory.rails()

    def round(self) -> list[Sample]:
        """Scan, let every collector have a round, and return what a scrape would see."""
        self.clock.advance(1.0)
        for rail in self.rails():
            if rail.number not in self._duties:
                self._duties[rail.number] = self._employ(rail.number)
        for duty in self:
            duty.run_round()
        return [s for s in self._snapshot.samples() if s.spec.name.startswith(_SHOWN)]

    def values(self, spec: MetricSpec, rail: int = 0) -> dict[tuple[str, ...], float]:
        """Return the values of a family of one rail by the labels after rail and device."""
        found = (s for s in self.round() if s.spec is spec and s.labels[0] == str(rail))
        return {s.labels[2:]: float(s.value) for s in found}  # type: ignore[arg-type] # no histogram

    def failures(self) -> int:
        """Return how many readings have failed so far."""
        return sum(duty.report().read_errors for duty in self)

    def sample(self, rail: int = 0) -> tuple[float, float] | None:
        """Return bytes received and sent of a fast sample, None if there is none."""
        self.clock.advance(0.02)
        found = next(r for r in self.inventory.rails() if r.number == rail)
        station = self._stations.get(rail)
        if station is None or station.rail != found:
            station = self._stations[rail] = self.station(found)
        before = len(self.tape.track(rail).slice(-math.inf))
        station.read(self.clock.monotonic())
        latest = self.tape.track(rail).newest()
        if latest is None or len(self.tape.track(rail).slice(-math.inf)) == before:
            return None
        return latest[1], latest[2]

    def station(self, rail: Rail) -> RailStation:
        """Return what samples *rail*."""
        return RailStation(
            rail,
            counters=lambda on_jump: byte_counters(rail, self.tree.sysfs, on_jump=on_jump),
            track=self.tape.track(rail.number),
            on_error=lambda: None,
            monotonic=self.clock.monotonic,
        )

    def exposition(self) -> str:
        """Return what a scrape shows of the rails, bytes included."""
        samples = self.round()
        for rail in self.inventory.rails():
            received_and_sent = self.sample(rail.number) if rail.is_present else None
            for spec, value in zip(_BYTES, received_and_sent or (), strict=False):
                samples.append(Sample(spec, rail.labels, int(value)))
        return Renderer().render(samples).decode()

    def _employ(self, number: int) -> list[Duty]:
        collectors = (
            NetdevCollector(number, rails=self.inventory.rails, sysfs=self.tree.sysfs),
            InfinibandCollector(
                number,
                rails=self.inventory.rails,
                sysfs=self.tree.sysfs,
                allowed=lambda: self.allowed,
                open_counter=self._open,
                monotonic=self.clock.monotonic,
            ),
            PcieCollector(number, rails=self.inventory.rails, sysfs=self.tree.sysfs),
        )
        return [Duty(c, clock=self.clock) for c in collectors]
