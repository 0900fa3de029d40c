"""Small fleets for the analyzer's tests: frames written by hand, one window after another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.frame import COLUMNS, POSITION, Frame, Link

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START = 1_700_000_000.0
WINDOW = 5.0
SPEED = 50e9
BURST = 40e9

Cells = dict[str, float]


@dataclass
class Fleet:
    """Links of one job whose healthy windows differ by a little noise of *seed*.

    `window(changes)` gives the frame of the next window; *changes* maps a link to cells that
    replace or, for counters, add to what a healthy window holds.
    """

    nodes: int = 8
    rails: int = 1
    job_id: str = "77"
    seed: int = 0
    links: tuple[Link, ...] = field(init=False)
    number: int = field(init=False, default=0)
    values: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.links = tuple(
            Link(f"n{node:02d}", str(rail), f"mlx5_{rail}")
            for node in range(self.nodes)
            for rail in range(self.rails)
        )
        self.values = np.zeros((len(self.links), len(COLUMNS)))
        self._random = np.random.default_rng(self.seed)

    @property
    def now(self) -> float:
        """Time of the newest frame."""
        return START + self.number * WINDOW + 1.0

    def window(self, changes: Mapping[Link, Cells] | None = None) -> Frame:
        """Return the frame of the next window."""
        self.number += 1
        self._healthy()
        for link, cells in (changes or {}).items():
            for name, value in cells.items():
                self._change(self.links.index(link), name, value)
        return self.frame()

    def frame(self) -> Frame:
        """Return the frame of the newest window again, as a later scrape of it sees it."""
        size = len(self.links)
        return Frame(
            time=self.now,
            links=self.links,
            values=self.values.copy(),
            sampled_at=np.full(size, self.now),
            window_end=np.full(size, START + self.number * WINDOW),
            window_seconds=WINDOW,
            interval_seconds=WINDOW,
            job_id=(self.job_id,) * size,
            switch=("",) * size,
        )

    def windows(self, count: int) -> Iterator[Frame]:
        """Yield *count* healthy windows."""
        for _ in range(count):
            yield self.window()

    def _healthy(self) -> None:
        noise = 1 + 0.01 * self._random.normal(size=(len(self.links), 2))
        for number, direction in enumerate(("transmit", "receive")):
            burst = BURST * noise[:, number]
            self._set(f"{direction}_window_max_bytes_per_second", burst * 1.05)
            self._set(f"{direction}_window_top_decile_bytes_per_second", burst)
            self._set(f"{direction}_window_std_bytes_per_second", burst * 0.4)
            self._set(f"{direction}_window_duty_ratio", 0.5)
            self.values[:, POSITION[f"{direction}_bytes_total"]] += 0.5 * BURST * WINDOW
        self._set("queue_occupied_ratio", 0.15)
        for name in ("present", "admin_up", "up"):
            self._set(name, 1.0)
        self._set("speed_bytes_per_second", SPEED)

    def _set(self, name: str, value: np.ndarray | float) -> None:
        self.values[:, POSITION[name]] = value

    def _change(self, row: int, name: str, value: float) -> None:
        if name.startswith("faults_total") or name.endswith("bytes_total"):
            self.values[row, POSITION[name]] += value
        else:
            self.values[row, POSITION[name]] = value


def capped(share: float, direction: str = "transmit") -> Cells:
    """Cells of a link that is capped to *share* of its bursts: the same bytes, flatter."""
    rate = share * BURST
    cells = {
        f"{direction}_window_max_bytes_per_second": rate * 1.02,
        f"{direction}_window_top_decile_bytes_per_second": rate,
        f"{direction}_window_std_bytes_per_second": rate * 0.1,
        f"{direction}_window_duty_ratio": 0.95,
    }
    if direction == "transmit":
        cells["queue_occupied_ratio"] = 0.8
    return cells


def without(frame: Frame, *gone: Link) -> Frame:
    """Return *frame* without the rows of the links *gone*, as when their agent was not reached."""
    kept = [row for row, link in enumerate(frame.links) if link not in gone]
    return replace(
        frame,
        links=tuple(frame.links[row] for row in kept),
        values=frame.values[kept],
        sampled_at=frame.sampled_at[kept],
        window_end=frame.window_end[kept],
        job_id=tuple(frame.job_id[row] for row in kept),
        switch=tuple(frame.switch[row] for row in kept),
    )
