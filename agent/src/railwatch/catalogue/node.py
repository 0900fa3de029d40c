# SPDX-License-Identifier: Apache-2.0
"""Metrics of the host, and of the agent about itself."""

from __future__ import annotations

from enum import StrEnum

from railwatch.catalogue.metric import PREFIX, MetricSpec, MetricType, Scope


class MarkerOutcome(StrEnum):
    """What became of a step marker; values of the label `outcome`."""

    ACCEPTED = "accepted"
    MALFORMED = "malformed"
    """It could not be understood, or said what cannot be."""
    DROPPED = "dropped"
    """It came twice or too late, its job is not known, or there are too many."""


HOST_CPU_BUSY = MetricSpec(
    f"{PREFIX}host_cpu_busy_ratio",
    MetricType.GAUGE,
    "Share of all cores' time that was not idle since the previous reading.",
    source="psutil.cpu_times",
)
HOST_MEMORY_AVAILABLE = MetricSpec(
    f"{PREFIX}host_memory_available_bytes",
    MetricType.GAUGE,
    "Memory that can be given out without swapping.",
    source="psutil.virtual_memory",
)
PRESSURE_RESOURCES = ("cpu", "io", "memory")
HOST_PRESSURE = MetricSpec(
    f"{PREFIX}host_pressure_ratio",
    MetricType.GAUGE,
    "Share of the last 10 s in which some task waited for the resource.",
    ("resource",),
    source="/proc/pressure/*, some avg10 (percent)",
    scale=0.01,
    values=PRESSURE_RESOURCES,
)
HOST_SOFTNET_DROPPED = MetricSpec(
    f"{PREFIX}host_softnet_dropped_total",
    MetricType.COUNTER,
    "Packets dropped because a processor's queue of received ones was full, all processors "
    "added up.",
    source="/proc/net/softnet_stat, dropped",
)
HOST_SOFTNET_SQUEEZED = MetricSpec(
    f"{PREFIX}host_softnet_squeezed_total",
    MetricType.COUNTER,
    "Times that a processor had more received packets to handle than it was given time for.",
    source="/proc/net/softnet_stat, time_squeeze",
)


def _agent(
    what: str,
    kind: MetricType,
    text: str,
    labels: tuple[str, ...] = (),
    edges: tuple[float, ...] = (),
    values: tuple[str, ...] = (),
) -> MetricSpec:
    scope = Scope.COLLECTOR if labels == ("collector",) else Scope.NODE
    name = f"{PREFIX}agent_{what}"
    return MetricSpec(name, kind, text, labels, scope, values=values, edges=edges)


AGENT_BUILD_INFO = _agent(
    "build_info", MetricType.INFO, "Version of the agent.", ("version", "python_version")
)
AGENT_COLLECTOR_SUCCESS = _agent(
    "collector_success",
    MetricType.GAUGE,
    "1 if the collector's last round ended in time and not all of its readings failed.",
    ("collector",),
)
AGENT_COLLECTOR_DURATION = _agent(
    "collector_duration_seconds",
    MetricType.GAUGE,
    "How long the collector's last round took, or takes if it hangs.",
    ("collector",),
)
AGENT_READ_ERRORS = _agent(
    "read_errors_total",
    MetricType.COUNTER,
    "Readings that failed although the counter exists.",
    ("collector",),
)
AGENT_LAST_SUCCESS = _agent(
    "last_success_timestamp_seconds",
    MetricType.GAUGE,
    "When the collector last succeeded, Unix time; absent until it has.",
    ("collector",),
)
AGENT_SAMPLER_LATENESS = _agent(
    "sampler_lateness_seconds",
    MetricType.HISTOGRAM,
    "How late each round of fast samples began.",
    edges=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
)
AGENT_FAST_SAMPLES = _agent(
    "fast_samples_total",
    MetricType.COUNTER,
    "Fast samples taken, all rails added up; their rate falls where reads are slow, or while the "
    "agent is over its budget.",
)
AGENT_SAMPLER_INTERVAL = _agent(
    "sampler_interval_seconds",
    MetricType.GAUGE,
    "From one fast sample to the next, as it is in force.",
)
AGENT_THROTTLED = _agent(
    "throttled",
    MetricType.GAUGE,
    "1 while fast samples are taken less often than configured, as the agent was over its budget.",
)
AGENT_MICROSCOPE_ACTIVE = _agent(
    "microscope_active", MetricType.GAUGE, "1 while a rail is read at 200 Hz, as somebody asked."
)
AGENT_RAILS = _agent(
    "rails", MetricType.GAUGE, "Rails in the inventory, those included whose device is gone."
)
AGENT_SAMPLER_STUCK_RAILS = _agent(
    "sampler_stuck_rails",
    MetricType.GAUGE,
    "Rails left out of fast sampling because a read of theirs does not return.",
)
AGENT_NVML_RESTARTS = _agent(
    "nvml_restarts_total",
    MetricType.COUNTER,
    "Times that the process which asks NVML hung, died or lost the driver, and another followed.",
)
AGENT_NVML_ABANDONED = _agent(
    "nvml_abandoned_total",
    MetricType.COUNTER,
    "Processes within NVML that did not end when killed and were left behind.",
)
AGENT_NVML_STUCK_GPUS = _agent(
    "nvml_stuck_gpus",
    MetricType.GAUGE,
    "GPUs left out because a call about them does not return; each is tried again later.",
)
AGENT_NVML_CPU_SECONDS = _agent(
    "nvml_cpu_seconds_total",
    MetricType.COUNTER,
    "CPU time that the processes which ask NVML have used; a part of agent_cpu_seconds_total.",
)
AGENT_MARKERS = _agent(
    "markers_total",
    MetricType.COUNTER,
    "Step markers that were read, by what became of them. At most 100 a second are read; of those "
    "beyond the kernel refuses most, which only their senders know.",
    ("outcome",),
    values=tuple(MarkerOutcome),
)
AGENT_WINDOW_SECONDS = _agent("window_seconds", MetricType.GAUGE, "Length of the tumbling windows.")
AGENT_WINDOW_END = _agent(
    "window_end_timestamp_seconds",
    MetricType.GAUGE,
    "End of the last complete window, Unix time.",
)
AGENT_CPU_SECONDS = _agent(
    "cpu_seconds_total",
    MetricType.COUNTER,
    "CPU time that the agent has used, processes of its own included.",
)
