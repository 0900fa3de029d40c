"""The stage on which the stand-in plays: its state file, written while programs run on it."""

import ctypes
import mmap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pynvml

from support.nvml import layout
from support.nvml.building import build
from support.nvml.calls import CALLS
from support.nvml.furnishing import furnish_driver, furnish_gpu
from support.nvml.profiles import Profile
from support.nvml.timeline import Activity, Levels, Timeline

STATE_VARIABLE = "RAILWATCH_NVML_STATE"
_HANG = {False: 1, True: 2}


class Faults:
    """What befalls calls: of the whole driver, or of one GPU."""

    def __init__(self, slots: ctypes.Array[layout.Fault]) -> None:
        self._slots = slots

    def fail(self, call: str, result: int) -> None:
        """Let *call* answer with *result*, which is one of pynvml's NVML_ERROR_…."""
        self._slot(call).result = result

    def delay(self, call: str, seconds: float) -> None:
        """Let *call* take this long."""
        self._slot(call).delay_microseconds = round(seconds * 1e6)

    def hang(self, call: str, *, uninterruptible: bool = False) -> None:
        """Let *call* not return until healed; see `support.nvml.stuck` for the uninterruptible."""
        self._slot(call).hang = _HANG[uninterruptible]

    def heal(self, call: str) -> None:
        """Let *call* work again, and what hangs in it return."""
        slot = self._slot(call)
        slot.hang = slot.result = slot.delay_microseconds = 0

    def delay_all(self, seconds: float) -> None:
        """Let every call take this long, as a real driver's do."""
        for call in CALLS:
            self.delay(call, seconds)

    def count(self, call: str) -> int:
        """How often *call* was made, by whichever process."""
        return self._slot(call).count

    def _slot(self, call: str) -> layout.Fault:
        return self._slots[CALLS.index(call)]


class Gpu(Faults):
    """One GPU on the stage. `values` is its record in the state file: any field may be set."""

    def __init__(self, values: layout.Gpu, profile: Profile) -> None:
        super().__init__(values.faults)
        self.values = values
        self.profile = profile
        self._timeline = Timeline()

    @property
    def timeline(self) -> Timeline:
        """What it has done and will do."""
        return self._timeline

    def lose(self, result: int = pynvml.NVML_ERROR_GPU_IS_LOST) -> None:
        """Let every call on this GPU answer with *result*; it is still counted."""
        self.values.status = result

    def fall_off_the_bus(self) -> None:
        """Be counted no more: the indexes of later GPUs move up, old handles are lost."""
        self.values.present = 0

    def recover(self) -> None:
        """Be there again and answer."""
        self.values.present, self.values.status = 1, 0

    def perform(self, activity: Activity | Levels, *, at: int | None = None) -> None:
        """Do this from now (or *at*, CLOCK_MONOTONIC ns) on."""
        self._follow([(0.0, self._levels(activity))], at, repeated=False)

    def repeat(self, *parts: tuple[Activity | Levels, float], at: int | None = None) -> None:
        """Do these parts (what, seconds) again and again: the steps of a training job."""
        step = [(seconds, self._levels(activity)) for activity, seconds in parts]
        self._follow(step, at, repeated=True)

    def play(self, *parts: tuple[Activity | Levels, float], at: int | None = None) -> None:
        """Do these parts once; the last one goes on."""
        self._follow([(seconds, self._levels(what)) for what, seconds in parts], at, repeated=False)

    def _levels(self, activity: Activity | Levels) -> Levels:
        return activity if isinstance(activity, Levels) else self.profile.levels[activity]

    def _follow(
        self, parts: Sequence[tuple[float, Levels]], at: int | None, *, repeated: bool
    ) -> None:
        start = time.monotonic_ns() if at is None else at
        self._timeline = self._timeline.followed_by(parts, start, repeated=repeated)
        spare = 1 - self.values.timeline
        _write_timeline(self.values.timelines[spare], self._timeline)
        self.values.timeline = spare


class Stage(Faults):
    """A driver with GPUs; leaving the context lets go of the file, which stays."""

    def __init__(self, path: Path, profiles: Sequence[Profile]) -> None:
        self.path = path
        with path.open("wb") as file:
            file.truncate(ctypes.sizeof(layout.State))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.state = layout.State.from_buffer(self._map)
        super().__init__(self.state.faults)
        self.gpus = [Gpu(self.state.gpus[number], found) for number, found in enumerate(profiles)]
        for number, gpu in enumerate(self.gpus):
            furnish_gpu(gpu.values, gpu.profile, number)
            gpu.perform(Activity.IDLE)
        furnish_driver(self.state, len(profiles))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Let whatever hangs return, so that nothing is left behind."""
        for faults in (self, *self.gpus):
            for slot in faults._slots:
                slot.hang = 0

    def environment(self, library: Path | None = None) -> dict[str, str]:
        """What a program needs in its environment to find the stand-in and this stage."""
        return {"LD_LIBRARY_PATH": str(library or build()), STATE_VARIABLE: str(self.path)}

    def unload_driver(self) -> None:
        """Let every call say that no driver is loaded."""
        self.state.driver_loaded = 0

    def load_driver(self) -> None:
        """Have a driver again."""
        self.state.driver_loaded = 1

    def upgrade_driver(self, version: str) -> None:
        """Load another driver: programs that run have the old library, new ones fit."""
        self.state.library_version = version.encode()
        self.state.kernel_version = version.encode()

    def upgrade_packages(self, version: str) -> None:
        """Install another driver without loading it: new programs do not fit, running ones do."""
        self.state.library_version = version.encode()


def _write_timeline(record: layout.Timeline, timeline: Timeline) -> None:
    record.count, record.cycle = len(timeline.phases), timeline.cycle
    record.period = timeline.period
    record.base[:] = [*timeline.base.values()]
    for slot, phase in zip(record.phases, timeline.phases, strict=False):
        slot.start = phase.start
        slot.levels[:] = [*phase.levels.values()]
