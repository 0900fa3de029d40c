# SPDX-License-Identifier: Apache-2.0
"""The agent's settings: every key of `agent.toml`, its default, its range and what it is for."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from railwatch.settings import ConfigError, key, load, section
from railwatch.web import refuse_public
from railwatch_agent.sources.claim import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENVIRONMENT_PREFIX = "RAILWATCH_AGENT"
DEFAULT_FILE = Path("/etc/railwatch/agent.toml")

# What [collectors] disable may name; the command line puts one collector behind each.
COLLECTORS = (
    "netdev", "infiniband", "ethtool", "pcie", "window", "tcp", "host", "neighbor", "gpu", "job",
    "steps",
)  # fmt: skip

# A window of fewer samples has no top decile to speak of.
_LEAST_SAMPLES_A_WINDOW = 10


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: where the agent answers."""

    listen: str = key("127.0.0.1:9810", doc="HOST:PORT or [IPV6]:PORT to serve /metrics on.")
    web_config_file: str = key(
        "", doc="TLS and authentication, a file in the format of Prometheus's exporter-toolkit."
    )
    insecure: bool = key(
        False, doc="Allow an address that other machines reach without TLS and authentication."
    )

    def __post_init__(self) -> None:
        file, insecure = self.web_config_file, self.insecure
        refuse_public(self.listen, web_config_file=file, insecure=insecure)


@dataclass(frozen=True, slots=True)
class PathSettings:
    """`[paths]`: where the kernel shows itself and where the agent keeps what it must remember."""

    procfs: str = key("/proc", doc="Where the host's proc file system is mounted.")
    sysfs: str = key("/sys", doc="Where the host's sysfs is mounted.")
    state: str = key(
        "/var/lib/railwatch",
        doc="Directory for the numbers of the rails; without it they last until the agent ends.",
    )


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """`[sampler]`: how often the rails' byte counters are read, and how they are summed up."""

    interval_seconds: float = key(
        0.02, doc="From one fast sample to the next.", minimum=0.001, maximum=1.0
    )
    window_seconds: float = key(
        5.0,
        doc="Length of the windows, aligned to the wall clock; one value on all nodes.",
        minimum=1.0,
        maximum=300.0,
    )
    cpu_budget_ratio: float = key(
        0.02,
        doc="Share of a core that the agent may use; over it, the rate of fast samples is halved.",
        minimum=0.001,
        maximum=1.0,
        live=True,
    )

    def __post_init__(self) -> None:
        least = _LEAST_SAMPLES_A_WINDOW * self.interval_seconds
        if self.window_seconds < least:
            raise ConfigError(
                f"window_seconds: must be at least {_LEAST_SAMPLES_A_WINDOW} times "
                f"interval_seconds, {least:g}, got {self.window_seconds!r}"
            )


@dataclass(frozen=True, slots=True)
class RailSettings:
    """`[[rails]]`: one rail that is named rather than discovered."""

    device: str = key(doc="The rail's network device, RDMA device or PCI address.")
    rail: int | None = key(None, doc="Its number; by default the next free one.", minimum=0)
    line_rate_bytes_per_second: float | None = key(
        None, doc="Its line rate, in place of the one that the driver reports.", minimum=1.0
    )


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """`[collectors]`: what is left out."""

    disable: tuple[str, ...] = key(
        (), doc=f"Collectors to leave out: {', '.join(COLLECTORS)}.", live=True
    )

    def __post_init__(self) -> None:
        for name in self.disable:
            if name not in COLLECTORS:
                near = difflib.get_close_matches(name, COLLECTORS, n=1, cutoff=0.0)[0]
                raise ConfigError(
                    f"disable: unknown collector {name!r}; the nearest known one is {near!r}"
                )


@dataclass(frozen=True, slots=True)
class MicroscopeSettings:
    """`[microscope]`: who may have a rail read at 200 Hz for a while."""

    token_file: str = key(
        "",
        doc="File of the bearer token for /api/v1/microscope; without one there is none.",
    )


# ETH_GSTRING_LEN in linux/ethtool.h.
_STATISTIC_NAME_BYTES = 32


@dataclass(frozen=True, slots=True)
class EthtoolSettings:
    """`[ethtool]`: what is exposed of what drivers tell."""

    statistics: tuple[str, ...] = key(
        (),
        doc="Names, each exact, of driver statistics to expose of every rail as they are.",
        live=True,
    )
    priorities: tuple[int, ...] = key(
        (),
        doc="Priorities whose pauses are counted apart, four series each and rail.",
        minimum=0,
        maximum=7,
        live=True,
    )
    module: bool = key(
        False,
        doc="Read the rails' modules every 60 s: optical power, temperature and their margins. "
        "Needs CAP_NET_ADMIN; up to 6 series a rail and 3 a lane. A module that is plugged in is "
        "seen within 5 minutes.",
        live=True,
    )

    def __post_init__(self) -> None:
        for name in self.statistics:
            if not name.strip() or len(name.encode()) > _STATISTIC_NAME_BYTES:
                raise ConfigError(
                    f"statistics: a name has 1 to {_STATISTIC_NAME_BYTES} bytes, got {name!r}"
                )
        _refuse_repeated(self.statistics, "statistics")
        _refuse_repeated(self.priorities, "priorities")


@dataclass(frozen=True, slots=True)
class RdmaSettings:
    """`[rdma]`: what is exposed of the RDMA drivers' own counters."""

    counters: tuple[str, ...] = key(
        (),
        doc="Names of files in counters and hw_counters to expose of every rail as they are.",
        live=True,
    )

    def __post_init__(self) -> None:
        for name in self.counters:
            if not name.strip() or "/" in name or name in {".", ".."}:
                raise ConfigError(f"counters: the name of a file has no '/', got {name!r}")
        _refuse_repeated(self.counters, "counters")


@dataclass(frozen=True, slots=True)
class TopologySettings:
    """`[topology]`: how the agent learns what a rail is plugged into."""

    file: str | None = key(
        None,
        doc="CSV file with columns instance, device, switch, switch_port, one for all nodes; where "
        "it knows a rail, LLDP is not asked. InfiniBand has no LLDP.",
        live=True,
    )
    lldp_socket: str = key(
        "/run/lldpd.socket",
        doc="Socket of lldpd, which its group may use; empty: not asked.",
        live=True,
    )


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """`[gpus]`: how often the GPUs are asked, and how long an answer may take."""

    fast_interval_seconds: float = key(
        0.1, doc="From one sample of the activity signal to the next.", minimum=0.02, maximum=1.0
    )
    slow_interval_seconds: float = key(
        5.0, doc="From one reading of everything else to the next.", minimum=1.0, maximum=60.0
    )
    deadline_seconds: float = key(
        5.0,
        doc="How long the driver may take over one GPU before the process that asks is ended.",
        minimum=1.0,
        maximum=60.0,
    )


@dataclass(frozen=True, slots=True)
class JobSettings:
    """`[job]`: who says which jobs are on the node, in order of trust; then control groups do."""

    id: str | None = key(
        None, doc="Name of the job that has the whole node; nothing else is asked.", live=True
    )
    id_file: str | None = key(
        None,
        doc="File whose first line is that name, read every 5 s; while it is empty or not there, "
        "others are asked.",
        live=True,
    )
    slurm: str = key(
        "/run/railwatch/jobs",
        doc="Directory of files, one a job, as the prolog in deploy/slurm writes them; empty: not "
        "read.",
        live=True,
    )
    gpu_map_directory: str = key(
        "",
        doc="Directory of files, one a GPU, named by its number and holding a job a line, as other "
        "exporters read them; empty: not read.",
        live=True,
    )

    def __post_init__(self) -> None:
        if self.id is not None and self.id_file is not None:
            raise ConfigError("id, id_file: only one of them can say whose the node is")
        try:
            plain_name(self.id or "-")
        except ValueError as exc:
            raise ConfigError(f"id: {exc}") from exc


@dataclass(frozen=True, slots=True)
class StepSettings:
    """`[steps]`: how training code tells the agent of its steps."""

    socket: str = key(
        "/run/railwatch/steps.sock",
        doc="Datagram socket for step markers, made in a directory that is there; empty: none.",
    )


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The whole of `agent.toml`."""

    server: ServerSettings = section(ServerSettings, doc="Where the agent answers.")
    paths: PathSettings = section(PathSettings, doc="Where things are on this machine.")
    sampler: SamplerSettings = section(SamplerSettings, doc="Fast sampling of the rails.")
    rails: tuple[RailSettings, ...] = key((), doc="Rails that are named, in place of discovery.")
    rdma: RdmaSettings = section(RdmaSettings, doc="Counters of the RDMA drivers.")
    ethtool: EthtoolSettings = section(EthtoolSettings, doc="Statistics of the drivers.")
    topology: TopologySettings = section(TopologySettings, doc="What the rails are plugged into.")
    microscope: MicroscopeSettings = section(MicroscopeSettings, doc="A close look at one rail.")
    gpus: GpuSettings = section(GpuSettings, doc="The GPUs, through NVML.")
    job: JobSettings = section(JobSettings, doc="Which jobs are on the node.")
    steps: StepSettings = section(StepSettings, doc="Steps of training jobs.")
    collectors: CollectorSettings = section(CollectorSettings, doc="What is left out.")

    def __post_init__(self) -> None:
        _refuse_double((rail.device for rail in self.rails), "device")
        _refuse_double((rail.rail for rail in self.rails if rail.rail is not None), "rail")


def _refuse_repeated(values: Iterable[object], name: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ConfigError(f"{name}: {value!r} is named {count} times")


def _refuse_double(values: Iterable[object], name: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ConfigError(f"[[rails]] {name}: {value!r} is given to {count} rails")


def load_settings(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]
) -> AgentSettings:
    """Return the settings: flag before environment before *file* before default.

    Without a *file* the default one is read if it is there.

    Raises
    ------
    ConfigError
        In one line that names the key.
    """
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    return load(
        AgentSettings,
        file=file,
        environment=environment,
        prefix=ENVIRONMENT_PREFIX,
        flags=flags,
    )
