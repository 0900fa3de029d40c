"""One GPU on the stage: what it does, what it suffers, what happens to it."""

import time
from collections.abc import Sequence

import pynvml

from support.nvml import layout
from support.nvml.faults import Faults
from support.nvml.profiles import Profile, Slice
from support.nvml.timeline import Activity, Levels, Phase, Timeline

# What NVML says where a process or an event belongs to no MIG instance.
NO_INSTANCE = 0xFFFFFFFF
_COMPUTE, _GRAPHICS = 1, 2


class Gpu(Faults):
    """One GPU on the stage. `values` is its record in the state file: any field may be set."""

    def __init__(self, state: layout.State, number: int, profile: Profile) -> None:
        self.values = state.gpus[number]
        super().__init__(self.values.faults)
        self.profile = profile
        self._state = state
        self._number = number

    @property
    def timeline(self) -> Timeline:
        """What it has done and will do."""
        return _read(self.values.timelines[self.values.timeline])

    def perform(self, activity: Activity | Levels, *, at: int | None = None) -> None:
        """Do this from now (or *at*, CLOCK_MONOTONIC ns) on."""
        self.play((activity, 0.0), at=at)

    def play(self, *parts: tuple[Activity | Levels, float], at: int | None = None) -> None:
        """Do these parts (what, seconds) once; the last one goes on."""
        self._follow(parts, at, repeated=False)

    def repeat(self, *parts: tuple[Activity | Levels, float], at: int | None = None) -> None:
        """Do these parts (what, seconds) again and again: the steps of a training job."""
        self._follow(parts, at, repeated=True)

    def lose(self, result: int = pynvml.NVML_ERROR_GPU_IS_LOST) -> None:
        """Let every call on this GPU answer with *result*; it is still counted."""
        self.values.status = result

    def fall_off_the_bus(self) -> None:
        """Be counted no more: the indexes of later GPUs move up, old handles are lost."""
        self.values.present = 0

    def recover(self) -> None:
        """Be there again and answer."""
        self.values.present, self.values.status = 1, 0

    def set_field(self, field: int, value: int) -> None:
        """Let a field that nothing else determines have this value."""
        self.values.fields[field].value = value

    def fail_field(self, field: int, result: int) -> None:
        """Let one field answer with *result*, 0 for a value."""
        self.values.fields[field].result = result

    def burden_field(self, field: int, seconds: float) -> None:
        """Let asking for one field use this much of a processor."""
        self.values.fields[field].work_microseconds = round(seconds * 1e6)

    def xid(self, number: int, gpu_instance: int = NO_INSTANCE) -> None:
        """Have an Xid error."""
        self.event(pynvml.nvmlEventTypeXidCriticalError, number, gpu_instance)

    def event(self, kind: int, data: int = 0, gpu_instance: int = NO_INSTANCE) -> None:
        """Have an event of *kind*, one of pynvml's nvmlEventType…."""
        written = self._state.events_written
        slot = self._state.events[written % len(self._state.events)]
        slot.gpu, slot.type, slot.data = self._number, kind, data
        slot.gpu_instance, slot.compute_instance = gpu_instance, NO_INSTANCE
        self._state.events_written = written + 1

    def run(
        self, pid: int, memory: int, instance: int | None = None, *, graphics: bool = False
    ) -> None:
        """Have a process, on the whole GPU or on a MIG instance (by its index)."""
        slot = next(found for found in self.values.processes if not found.kind)
        slot.pid, slot.memory = pid, memory
        slot.gpu_instance = slot.compute_instance = NO_INSTANCE
        if instance is not None:
            slot.gpu_instance = self.values.instances[instance].gpu_instance
            slot.compute_instance = self.values.instances[instance].compute_instance
        slot.kind = _GRAPHICS if graphics else _COMPUTE

    def end(self, pid: int) -> None:
        """Have that process no more."""
        for slot in self.values.processes:
            if slot.pid == pid:
                slot.kind = 0

    def partition(self, *slices: Slice) -> None:
        """Be cut into these MIG instances; without any, be whole again."""
        for place, record in enumerate(self.values.instances):
            record.present = 0
            if place < len(slices):
                _furnish_instance(record, self.values, slices[place], place)
        self.values.mig_current = self.values.mig_pending = bool(slices)

    def _follow(
        self, parts: Sequence[tuple[Activity | Levels, float]], at: int | None, *, repeated: bool
    ) -> None:
        start = time.monotonic_ns() if at is None else at
        levels = [(seconds, self.profile.levels_of(what)) for what, seconds in parts]
        spare = 1 - self.values.timeline
        timeline = self.timeline.followed_by(levels, start, repeated=repeated)
        _write(timeline, self.values.timelines[spare])
        self.values.timeline = spare


def _furnish_instance(record: layout.Instance, gpu: layout.Gpu, part: Slice, place: int) -> None:
    record.gpu_instance, record.compute_instance = place + 1, 0
    record.slices, record.multiprocessors = part.slices, part.multiprocessors
    record.activity = 1.0
    record.memory_total, record.memory_used = part.memory, 0
    record.name = gpu.name + f" MIG {part.name}".encode()
    record.uuid = gpu.uuid.replace(b"GPU-", b"MIG-")[:-2] + f"{place + 1:02x}".encode()
    record.present = 1


def _read(record: layout.Timeline) -> Timeline:
    phases = tuple(
        Phase(slot.start, Levels(*slot.levels)) for slot in record.phases[: record.count]
    )
    return Timeline(phases, record.cycle, record.period, Levels(*record.base))


def _write(timeline: Timeline, record: layout.Timeline) -> None:
    record.count, record.cycle = len(timeline.phases), timeline.cycle
    record.period = timeline.period
    record.base[:] = [*timeline.base.values()]
    for slot, phase in zip(record.phases, timeline.phases, strict=False):
        slot.start = phase.start
        slot.levels[:] = [*phase.levels.values()]
