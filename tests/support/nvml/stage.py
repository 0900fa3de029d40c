"""The stage on which the stand-in plays: its state file, written while programs run on it."""

import ctypes
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from support.nvml import layout
from support.nvml.building import build
from support.nvml.faults import Faults
from support.nvml.furnishing import furnish_driver, furnish_gpu
from support.nvml.gpu import Gpu
from support.nvml.profiles import Profile, a100, b200, h100
from support.nvml.timeline import Activity

STATE_VARIABLE = "RAILWATCH_NVML_STATE"


class Stage(Faults):
    """A driver with GPUs. Leaving the context lets go of whatever hangs; the file stays."""

    def __init__(self, path: Path, profiles: Sequence[Profile]) -> None:
        self.path = path
        path.write_bytes(bytes(ctypes.sizeof(layout.State)))
        path.chmod(0o666)  # calls are counted in it, also those of unprivileged programs
        self.state = _mapped(path)
        super().__init__(self.state.faults)
        self.gpus = [self._gpu(number, profile) for number, profile in enumerate(profiles)]
        furnish_driver(self.state, len(profiles))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.let_go()
        for gpu in self.gpus:
            gpu.let_go()

    def environment(self, library: Path | None = None) -> dict[str, str]:
        """What a program needs in its environment to find the stand-in and this stage."""
        return {"LD_LIBRARY_PATH": str(library or build()), STATE_VARIABLE: str(self.path)}

    def stuck_on(self, path: Path) -> None:
        """Let uninterruptible hangs be in looking at this file, see `support.nvml.stuck`."""
        self.state.stuck_path = str(path).encode()

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

    def _gpu(self, number: int, profile: Profile) -> Gpu:
        furnish_gpu(self.state.gpus[number], profile, number)
        gpu = Gpu(self.state, number, profile)
        gpu.partition(*profile.partition)
        gpu.perform(Activity.IDLE)
        return gpu


def join(path: Path) -> list[Gpu]:
    """The GPUs of a stage that another process made, for those who act on it: ranks of a job."""
    state = _mapped(path)
    models = {model.name.encode(): model for model in (a100(), h100(), b200())}
    return [Gpu(state, n, models[state.gpus[n].name]) for n in range(state.gpu_count)]


def _mapped(path: Path) -> layout.State:
    with path.open("r+b") as file:
        return layout.State.from_buffer(mmap.mmap(file.fileno(), 0))
