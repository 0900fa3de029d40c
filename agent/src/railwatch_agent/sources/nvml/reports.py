# SPDX-License-Identifier: Apache-2.0
"""What the child said, as values: the parent's reading of `wire`; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from railwatch_agent.sources.nvml import wire
from railwatch_agent.sources.nvml.quantities import Signal, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MigDevice:
    """A part of a GPU; memory is None where the driver does not say."""

    instance: str
    uuid: str
    profile: str
    memory_used_bytes: int | None
    memory_total_bytes: int | None


@dataclass(frozen=True, slots=True)
class GpuReport:
    """Everything that a GPU was asked in one slow round.

    `time` is of CLOCK_MONOTONIC, and the names of `values` are those of `Quantity`.
    """

    number: int
    address: str
    time: float
    is_lost: bool
    watches_xid: bool
    uuid: str
    name: str
    values: Mapping[str, float]
    failures: Mapping[str, str]
    denied: tuple[str, ...]
    mig: tuple[MigDevice, ...]
    processes: tuple[tuple[int, int], ...]
    signal: Signal | None
    averaging_seconds: float | None
    processor_seconds: float


@dataclass(frozen=True, slots=True)
class Hello:
    """What a child found: the driver's version, and each GPU's number, address and state."""

    driver_version: str
    gpus: tuple[tuple[int, str, State], ...]


@dataclass(frozen=True, slots=True)
class Xid:
    """An Xid error of a GPU."""

    gpu: int
    xid: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The child ends, because the driver is not there for it."""

    reason: str


Message = Hello | GpuReport | Xid | Gone


def read_message(data: bytes) -> Message:
    """Return what a message says that is not of fast samples.

    Raises
    ------
    ValueError
        It is not one of a child's.
    """
    kind, body = data[:1], data[1:]
    try:
        facts = json.loads(body)
        if kind == wire.REPORT:
            return _report(facts)
        if kind == wire.HELLO:
            states = ((int(n), str(a), State(s)) for n, a, s in facts["gpus"])
            return Hello(str(facts["driver_version"]), tuple(states))
        if kind == wire.XID:
            return Xid(int(facts["number"]), int(facts["xid"]))
        if kind == wire.GONE:
            return Gone(str(facts["reason"]))
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"not a message of kind {kind!r}: {body[:60]!r}") from exc
    raise ValueError(f"no message is of kind {kind!r}")


def read_samples(data: bytes) -> NDArray[np.float64]:
    """Return the fast samples of a message: shape (n, 4), GPU, time, activity, tensor activity.

    Raises
    ------
    ValueError
        It is not made of whole samples.
    """
    return np.frombuffer(data, offset=len(wire.FAST)).reshape(-1, wire.SAMPLE_VALUES)


def _report(facts: Mapping[str, Any]) -> GpuReport:
    signal = facts.get("signal")
    values = facts.get("values", {})
    if not isinstance(values, dict):
        raise TypeError("values have no names")
    return GpuReport(
        number=int(facts["number"]),
        address=str(facts["address"]),
        time=float(facts["time"]),
        is_lost=bool(facts["is_lost"]),
        watches_xid=bool(facts["watches_xid"]),
        uuid=str(facts["uuid"]),
        name=str(facts["name"]),
        values=values,
        failures={str(what): str(reason) for what, reason in facts.get("failures", {}).items()},
        denied=tuple(str(what) for what in facts.get("denied", ())),
        mig=tuple(_mig_device(part) for part in facts.get("mig", ())),
        processes=tuple((int(pid), int(used)) for pid, used in facts.get("processes", ())),
        signal=None if signal is None else Signal(signal),
        averaging_seconds=facts.get("averaging_seconds"),
        processor_seconds=float(facts["processor_seconds"]),
    )


def _mig_device(facts: Mapping[str, Any]) -> MigDevice:
    return MigDevice(
        instance=str(facts["instance"]),
        uuid=str(facts["uuid"]),
        profile=str(facts["profile"]),
        memory_used_bytes=facts.get("used"),
        memory_total_bytes=facts.get("total"),
    )
