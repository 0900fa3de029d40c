"""GPUs as their data sheets and drivers describe them: what each has, and what each lacks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from support.nvml.timeline import Activity, Levels

GIB = 2**30


@dataclass(frozen=True)
class Slice:
    """A MIG profile: what one instance gets of the GPU."""

    name: str
    slices: int
    multiprocessors: int
    memory: int


@dataclass(frozen=True)
class Profile:
    """A model of GPU, and what it draws and moves in each activity of a training job."""

    name: str
    architecture: int
    capability: tuple[int, int]
    multiprocessors: int
    pci_device_id: int
    memory_total: int
    power_limit_watts: int
    max_clocks_megahertz: tuple[int, int, int, int]
    pcie_generation: int
    links: int
    link_megabytes_per_second: int
    link_version: int
    gpm: bool
    utilization_period_seconds: float
    power_window_seconds: float
    levels: Mapping[Activity, Levels]
    partition: tuple[Slice, ...] = ()

    def levels_of(self, activity: Activity | Levels) -> Levels:
        """What the instruments can see of an activity on this model."""
        return activity if isinstance(activity, Levels) else self.levels[activity]


def _levels(limit: float, idle: float, nvlink: float) -> dict[Activity, Levels]:
    """A GPU of this power and NVLink rate in training.

    Collectives occupy a tenth of the SMs and no tensor core; waiting for others draws less than
    moving data, and both draw far less than compute.
    """
    spinning = idle + 0.22 * (limit - idle)
    moving = idle + 0.35 * (limit - idle)
    return {
        Activity.IDLE: Levels(watts=idle),
        Activity.COMPUTE: Levels(busy=1, memory_busy=0.55, sm=0.9, tensor=0.45, watts=0.93 * limit),
        Activity.COMMUNICATION: Levels(
            busy=1,
            memory_busy=0.12,
            sm=0.12,
            watts=moving,
            nvlink_transmit=nvlink,
            nvlink_receive=nvlink,
            pcie_transmit=12e9,
            pcie_receive=12e9,
        ),
        Activity.STALLED: Levels(busy=1, memory_busy=0.01, sm=0.1, watts=spinning),
    }


def a100() -> Profile:
    """A100-SXM4-80GB: no GPM, power over 25 ms of every 100, twelve third-generation NVLinks."""
    return Profile(
        name="NVIDIA A100-SXM4-80GB",
        architecture=7,
        capability=(8, 0),
        multiprocessors=108,
        pci_device_id=0x20B210DE,
        memory_total=80 * GIB,
        power_limit_watts=400,
        max_clocks_megahertz=(1410, 1410, 1593, 1290),
        pcie_generation=4,
        links=12,
        link_megabytes_per_second=25_000,
        link_version=4,
        gpm=False,
        utilization_period_seconds=1.0,
        power_window_seconds=0.025,
        levels=_levels(400, 60, 180e9),
    )


def h100() -> Profile:
    """H100-80GB-HBM3 (SXM5): GPM, power averaged over a second, eighteen NVLinks."""
    return Profile(
        name="NVIDIA H100 80GB HBM3",
        architecture=9,
        capability=(9, 0),
        multiprocessors=132,
        pci_device_id=0x233010DE,
        memory_total=80 * GIB,
        power_limit_watts=700,
        max_clocks_megahertz=(1980, 1980, 2619, 1545),
        pcie_generation=5,
        links=18,
        link_megabytes_per_second=26_562,
        link_version=6,
        gpm=True,
        utilization_period_seconds=0.2,
        power_window_seconds=1.0,
        levels=_levels(700, 75, 250e9),
    )


def b200() -> Profile:
    """B200 (SXM): as Hopper, with NVLink 5, whose errors are counted by packet."""
    return replace(
        h100(),
        name="NVIDIA B200",
        architecture=10,
        capability=(10, 0),
        multiprocessors=148,
        pci_device_id=0x290110DE,
        memory_total=180 * GIB,
        power_limit_watts=1000,
        max_clocks_megahertz=(1965, 1965, 3996, 1500),
        link_megabytes_per_second=53_125,
        link_version=7,
        levels=_levels(1000, 140, 500e9),
    )


def mig() -> Profile:
    """An H100 in three MIG instances: no utilisation, GPM by instance."""
    parts = (
        Slice("3g.40gb", 3, 60, 40 * GIB),
        Slice("2g.20gb", 2, 32, 20 * GIB),
        Slice("1g.10gb", 1, 16, 10 * GIB),
    )
    return replace(h100(), partition=parts)
