"""What the stand-in's state file holds: the one definition; the C header is generated from it.

Every record is a ctypes structure laid out from its own annotations, so that Python writes into the
mapped file and C reads it without a second description of either. Times are CLOCK_MONOTONIC in
nanoseconds.
"""

import ctypes
from ctypes import c_char, c_double, c_int32, c_int64, c_uint32, c_uint64
from typing import Annotated, TypeVar, get_args, get_type_hints

MAGIC = 0x4C4D564E5752
VERSION = 1

# What a GPU does at an instant, as far as its instruments can tell: shares, watts, bytes a second.
LEVELS = (
    "busy",
    "memory_busy",
    "sm",
    "tensor",
    "watts",
    "nvlink_transmit",
    "nvlink_receive",
    "pcie_transmit",
    "pcie_receive",
)

# Sizes of the tables; the C side learns them from the generated header.
SIZES = {
    "GPUS": 16,
    "INSTANCES": 7,
    "LINKS": 18,
    "LINK_ERRORS": 5,
    "CLOCKS": 4,
    "ERROR_TYPES": 2,
    "COUNTER_TYPES": 2,
    "LOCATIONS": 9,
    "FIELDS": 320,
    "PHASES": 64,
    "PROCESSES": 16,
    "EVENTS": 64,
    "CALLS": 128,
    "TIMELINES": 2,
    "LEVELS": len(LEVELS),
}

Record = TypeVar("Record", bound=type[ctypes.Structure])


def laid_out(record: Record) -> Record:
    """Give a structure the fields that its annotations name, in their order."""
    hints = get_type_hints(record, include_extras=True)
    record._fields_ = [(name, get_args(hints[name])[1]) for name in record.__annotations__]
    return record


@laid_out
class Fault(ctypes.Structure):
    """What befalls a call besides its work, what it costs, and how often it was made."""

    result: Annotated[int, c_int32]
    hang: Annotated[int, c_uint32]
    delay_microseconds: Annotated[int, c_uint32]
    work_microseconds: Annotated[int, c_uint32]
    count: Annotated[int, c_uint64]


@laid_out
class Field(ctypes.Structure):
    """One field value: its own return code, the type of its value and the value's bits."""

    result: Annotated[int, c_int32]
    type: Annotated[int, c_uint32]
    work_microseconds: Annotated[int, c_uint32]
    unused: Annotated[int, c_uint32]
    value: Annotated[int, c_uint64]


@laid_out
class Phase(ctypes.Structure):
    """From `start` on, until the next phase starts, the GPU does this."""

    start: Annotated[int, c_int64]
    levels: Annotated[ctypes.Array[c_double], c_double * SIZES["LEVELS"]]


@laid_out
class Timeline(ctypes.Structure):
    """Phases in order of time; those from `cycle` on repeat every `period`, if that is not 0.

    `base` holds the integral of each level at the start of the first phase.
    """

    count: Annotated[int, c_uint32]
    cycle: Annotated[int, c_uint32]
    period: Annotated[int, c_int64]
    base: Annotated[ctypes.Array[c_double], c_double * SIZES["LEVELS"]]
    phases: Annotated[ctypes.Array[Phase], Phase * SIZES["PHASES"]]


@laid_out
class Instance(ctypes.Structure):
    """A MIG device: one compute instance in one GPU instance."""

    present: Annotated[int, c_uint32]
    gpu_instance: Annotated[int, c_uint32]
    compute_instance: Annotated[int, c_uint32]
    slices: Annotated[int, c_uint32]
    multiprocessors: Annotated[int, c_uint32]
    unused: Annotated[int, c_uint32]
    activity: Annotated[float, c_double]
    memory_total: Annotated[int, c_uint64]
    memory_used: Annotated[int, c_uint64]
    uuid: Annotated[bytes, c_char * 80]
    name: Annotated[bytes, c_char * 96]


@laid_out
class Process(ctypes.Structure):
    """A process on a GPU; `kind` 0 none, 1 compute, 2 graphics."""

    pid: Annotated[int, c_uint32]
    kind: Annotated[int, c_uint32]
    gpu_instance: Annotated[int, c_uint32]
    compute_instance: Annotated[int, c_uint32]
    memory: Annotated[int, c_uint64]


@laid_out
class Event(ctypes.Structure):
    """Something that event sets may have asked for; an Xid is of type 8 and `data` its number."""

    gpu: Annotated[int, c_uint32]
    gpu_instance: Annotated[int, c_uint32]
    compute_instance: Annotated[int, c_uint32]
    unused: Annotated[int, c_uint32]
    type: Annotated[int, c_uint64]
    data: Annotated[int, c_uint64]


@laid_out
class Gpu(ctypes.Structure):
    """One GPU: what it is, what its instruments say, how they measure, and what befalls calls."""

    present: Annotated[int, c_uint32]
    status: Annotated[int, c_int32]
    name: Annotated[bytes, c_char * 96]
    uuid: Annotated[bytes, c_char * 96]
    serial: Annotated[bytes, c_char * 32]
    pci_domain: Annotated[int, c_uint32]
    pci_bus: Annotated[int, c_uint32]
    pci_device: Annotated[int, c_uint32]
    pci_device_id: Annotated[int, c_uint32]
    pci_subsystem_id: Annotated[int, c_uint32]
    minor_number: Annotated[int, c_uint32]
    board_id: Annotated[int, c_uint32]
    architecture: Annotated[int, c_uint32]
    capability_major: Annotated[int, c_uint32]
    capability_minor: Annotated[int, c_uint32]
    multiprocessors: Annotated[int, c_uint32]
    persistence: Annotated[int, c_uint32]
    memory_total: Annotated[int, c_uint64]
    memory_reserved: Annotated[int, c_uint64]
    memory_used: Annotated[int, c_uint64]
    temperature: Annotated[int, c_uint32]
    performance_state: Annotated[int, c_uint32]
    clocks_megahertz: Annotated[ctypes.Array[c_uint32], c_uint32 * SIZES["CLOCKS"]]
    max_clocks_megahertz: Annotated[ctypes.Array[c_uint32], c_uint32 * SIZES["CLOCKS"]]
    throttle_reasons: Annotated[int, c_uint64]
    power_limit_milliwatts: Annotated[int, c_uint32]
    pcie_width: Annotated[int, c_uint32]
    pcie_max_width: Annotated[int, c_uint32]
    pcie_generation: Annotated[int, c_uint32]
    pcie_max_generation: Annotated[int, c_uint32]
    pcie_replays: Annotated[int, c_uint32]
    remapped_correctable: Annotated[int, c_uint32]
    remapped_uncorrectable: Annotated[int, c_uint32]
    remapped_pending: Annotated[int, c_uint32]
    remapped_failure: Annotated[int, c_uint32]
    ecc_mode: Annotated[int, c_uint32]
    retired_pending: Annotated[int, c_uint32]
    retired_pages: Annotated[ctypes.Array[c_uint32], c_uint32 * SIZES["ERROR_TYPES"]]
    ecc_errors: Annotated[
        ctypes.Array[ctypes.Array[ctypes.Array[c_uint64]]],
        c_uint64 * SIZES["LOCATIONS"] * SIZES["COUNTER_TYPES"] * SIZES["ERROR_TYPES"],
    ]
    link_count: Annotated[int, c_uint32]
    link_megabytes_per_second: Annotated[int, c_uint32]
    link_version: Annotated[int, c_uint32]
    gpm_supported: Annotated[int, c_uint32]
    link_active: Annotated[ctypes.Array[c_uint32], c_uint32 * SIZES["LINKS"]]
    link_errors: Annotated[
        ctypes.Array[ctypes.Array[c_uint64]],
        c_uint64 * SIZES["LINK_ERRORS"] * SIZES["LINKS"],
    ]
    utilization_period: Annotated[int, c_int64]
    utilization_samples: Annotated[int, c_int64]
    power_period: Annotated[int, c_int64]
    power_window: Annotated[int, c_int64]
    power_lag: Annotated[int, c_int64]
    instant_window: Annotated[int, c_int64]
    power_sample_period: Annotated[int, c_int64]
    power_samples: Annotated[int, c_int64]
    energy_period: Annotated[int, c_int64]
    traffic_period: Annotated[int, c_int64]
    gpm_period: Annotated[int, c_int64]
    mig_current: Annotated[int, c_uint32]
    mig_pending: Annotated[int, c_uint32]
    mig_capacity: Annotated[int, c_uint32]
    memory_temperature: Annotated[int, c_uint32]
    event_types: Annotated[int, c_uint64]
    instances: Annotated[ctypes.Array[Instance], Instance * SIZES["INSTANCES"]]
    processes: Annotated[ctypes.Array[Process], Process * SIZES["PROCESSES"]]
    fields: Annotated[ctypes.Array[Field], Field * SIZES["FIELDS"]]
    faults: Annotated[ctypes.Array[Fault], Fault * SIZES["CALLS"]]
    timeline: Annotated[int, c_uint32]
    unused: Annotated[int, c_uint32]
    timelines: Annotated[ctypes.Array[Timeline], Timeline * SIZES["TIMELINES"]]


@laid_out
class State(ctypes.Structure):
    """The whole file: the driver, the events, and the GPUs in PCI order."""

    magic: Annotated[int, c_uint64]
    version: Annotated[int, c_uint32]
    gpu_count: Annotated[int, c_uint32]
    driver_loaded: Annotated[int, c_uint32]
    cuda_version: Annotated[int, c_int32]
    wall_offset: Annotated[int, c_int64]
    library_version: Annotated[bytes, c_char * 80]
    kernel_version: Annotated[bytes, c_char * 80]
    nvml_version: Annotated[bytes, c_char * 80]
    stuck_path: Annotated[bytes, c_char * 256]
    events_written: Annotated[int, c_uint64]
    events: Annotated[ctypes.Array[Event], Event * SIZES["EVENTS"]]
    faults: Annotated[ctypes.Array[Fault], Fault * SIZES["CALLS"]]
    gpus: Annotated[ctypes.Array[Gpu], Gpu * SIZES["GPUS"]]


RECORDS = (Fault, Field, Phase, Timeline, Instance, Process, Event, Gpu, State)
