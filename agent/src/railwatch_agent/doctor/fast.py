# SPDX-License-Identifier: Apache-2.0
"""What fast sampling has to read of a rail: its bytes, how long that takes, how fresh they are."""

from __future__ import annotations

import math
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.rail import RAIL_RECEIVE_BYTES, RAIL_TRANSMIT_BYTES
from railwatch_agent.doctor.checks import Answer, answer_of
from railwatch_agent.doctor.deadline import ask_all
from railwatch_agent.doctor.findings import Finding, Section, Status
from railwatch_agent.rail_bytes import byte_counters
from railwatch_agent.sources.files import read_text
from railwatch_agent.sources.infiniband import counter_path, port_directory
from railwatch_agent.stations import SLOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from railwatch_agent.inventory import Rail
    from railwatch_agent.rail_bytes import ByteCounters
    from railwatch_agent.sources.infiniband import RdmaPort

_READS: Final = 9
_MILLISECOND: Final = 1e-3


class FirstSample(NamedTuple):
    """What reads the bytes of a rail, and what it said; None where there is no such counter."""

    counters: ByteCounters
    receive: int | None
    transmit: int | None


def take_samples(
    rails: Sequence[Rail], sysfs: Path, seconds: float
) -> list[FirstSample | Exception]:
    """Read the bytes of each rail once."""
    return ask_all([partial(_first, rail, sysfs) for rail in rails], seconds)


def _first(rail: Rail, sysfs: Path) -> FirstSample:
    counters = byte_counters(rail, sysfs)
    return FirstSample(counters, counters.receive.read(), counters.transmit.read())


def byte_samples(rail: Rail, first: FirstSample | Exception) -> list[Sample]:
    """Return the rail's series of bytes; nothing unless both directions are counted."""
    if isinstance(first, Exception) or first.receive is None or first.transmit is None:
        return []
    return [
        Sample(RAIL_RECEIVE_BYTES, rail.labels, first.receive),
        Sample(RAIL_TRANSMIT_BYTES, rail.labels, first.transmit),
    ]


def fast_findings(
    rail: Rail,
    first: FirstSample | Exception,
    *,
    sysfs: Path,
    interval_seconds: float,
    seconds: float,
) -> Iterator[Finding]:
    """Yield where the bytes are counted, what is not counted, and how long reading takes.

    One rail after the other, as what others read meanwhile would count as this rail's time.
    Samples are to be taken every *interval_seconds*; each look has *seconds* to return.
    """
    yield _finding(rail, "bytes", _where(first))
    if isinstance(first, Exception):
        return
    files = first.counters.receive.files
    if rail.rdma is not None and not any("/infiniband/" in file for file in files):
        detail = f"not counted by {rail.driver or 'its driver'}: TCP alone is seen"
        yield _finding(rail, "bytes of RDMA", Answer(Status.ABSENT, detail))
    if byte_samples(rail, first):
        (took,) = ask_all([partial(_median_seconds, first.counters)], seconds)
        yield _finding(rail, "read of bytes", _latency(took))
    if rail.rdma is not None:
        is_sampled = any("/hw_counters/" in file for file in files)
        shortest = interval_seconds if is_sampled else math.inf
        (lifespan,) = ask_all([partial(_lifespan, rail.rdma, sysfs, shortest)], seconds)
        yield _finding(rail, "lifespan of hw_counters", answer_of(lifespan))


def _finding(rail: Rail, what: str, answer: Answer) -> Finding:
    return Finding(Section.SOURCES, what, *answer, rail.number)


def _where(first: FirstSample | Exception) -> Answer:
    if isinstance(first, Exception):
        return answer_of(first)
    if first.receive is None or first.transmit is None:
        return Answer(Status.ABSENT, "neither RDMA nor network device counts both directions")
    names = ("/".join(file.split("/")[-2:]) for file in first.counters.receive.files)
    return Answer(Status.OK, " + ".join(names))


def _median_seconds(counters: ByteCounters) -> float:
    took: list[float] = []
    for _ in range(_READS):
        began = time.perf_counter()
        counters.receive.read()
        counters.transmit.read()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _latency(took: float | Exception) -> Answer:
    if isinstance(took, Exception):
        return answer_of(took)
    detail = f"takes {took * 1e6:.0f} us (median of {_READS})"
    if took > SLOW_SECONDS:
        detail += "; so slow a rail is sampled less often"
    return Answer(Status.OK, detail)


def _lifespan(port: RdmaPort, sysfs: Path, shortest_seconds: float) -> Answer:
    """Say how old the driver lets hw_counters become (sysfs-class-infiniband).

    Counters that stand still for longer than *shortest_seconds* make bursts of nothing.
    """
    path = counter_path(port_directory(sysfs, port), "hw_counters/lifespan")
    text = None if path is None else read_text(path)
    if text is None:
        return Answer(Status.ABSENT, "the driver has no hw_counters that it keeps for a while")
    detail = f"{text.strip()} ms: values are at most that old"
    if int(text) * _MILLISECOND <= shortest_seconds:
        return Answer(Status.OK, detail)
    detail += ", and bytes are sampled more often: bursts look sharper than they are"
    change = "write fewer into hw_counters/lifespan, or raise [sampler] interval_seconds"
    return Answer(Status.OK, detail, change)
