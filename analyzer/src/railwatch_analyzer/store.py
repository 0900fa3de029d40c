# SPDX-License-Identifier: Apache-2.0
"""Keeps the state across restarts: arrays and JSON in one file, never pickle.

What a window or two brings back (who reported, the last picture) is not kept; what took long to
learn and what stands is. A file that is corrupt, foreign or of another version is refused.
"""

from __future__ import annotations

import io
import json
import logging
import os
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from railwatch_analyzer.detectors.run_length import ASSUMED
from railwatch_analyzer.detectors.shortfall import ShortfallDetector
from railwatch_analyzer.detectors.state import Rule, Ruling
from railwatch_analyzer.features import NAMES
from railwatch_analyzer.findings import (
    Accusation,
    Candidate,
    Evidence,
    Finding,
    FindingKind,
    FindingState,
    key_of,
)
from railwatch_analyzer.frame import Link
from railwatch_analyzer.jobs import store as jobs_store
from railwatch_analyzer.state import State, empty_state

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_FORMAT = "railwatch-analyzer-state"
# Raised when a field changes its meaning; there is no migration, learning takes a minute.
_VERSION = 3
_PARTS = ("roster", "baseline", "status", "sums")
Part = TypeVar("Part")


class StateFileError(Exception):
    """A state file that cannot be used; the message says which and why."""


def save(state: State, path: Path) -> None:
    """Write *state* to *path*; a crash in between leaves the old file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    arrays = {
        f"{part}.{field.name}": getattr(getattr(state, part), field.name)
        for part in _PARTS
        for field in fields(getattr(state, part))
    }
    arrays["header"] = np.frombuffer(json.dumps(_header(state)).encode(), dtype=np.uint8)
    if state.detector is not None:
        arrays["detector.centers"] = state.detector.centers_
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path) -> State | None:
    """Return the state in *path*, or None if there is no such file.

    Raises
    ------
    StateFileError
        If there is one and it cannot be used.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StateFileError(f"{path}: {exc.strerror}") from exc
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _restored(arrays)
    except Exception as exc:
        # A flipped byte can look like an encrypted, a compressed or an enormous file; whatever the
        # readers of zip, npy and JSON say of it, this file is not ours.
        raise StateFileError(f"{path}: {exc}") from exc


def restored(path: Path | None) -> State:
    """Return the state in *path*, or an empty one where there is none that can be used."""
    try:
        state = None if path is None else load(path)
    except StateFileError as exc:
        log.warning("starting untrained: %s", exc)
        state = None
    return empty_state() if state is None else state


def _header(state: State) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "features": NAMES,
        "time": state.time,
        "windows": state.windows,
        "links": [[link.node, link.rail, link.device] for link in state.links],
        "groups": state.groups,
        "job_id": state.job_id,
        "limits": state.limits.tolist(),
        "offset": None if state.detector is None else state.detector.offset_,
        "ruled": [[asdict(link), asdict(ruling)] for link, ruling in state.ruled.items()],
        "flaps": [[asdict(link), times] for link, times in state.flaps.items()],
        "accused": [[asdict(link), asdict(said)] for link, said in state.accused.items()],
        "standing": [finding.as_json() for finding in state.standing.values()],
        "jobs": jobs_store.as_json(state.jobs),
        "standing_jobs": [finding.as_json() for finding in state.jobs.standing.values()],
    }


def _restored(arrays: dict[str, np.ndarray[Any, Any]]) -> State:
    header = json.loads(arrays["header"].tobytes())
    if header.get("format") != _FORMAT:
        raise ValueError("not a state of railwatch-analyzer")
    if header["version"] != _VERSION or tuple(header["features"]) != NAMES:
        raise ValueError("written by another version")
    links = tuple(Link(*names) for names in header["links"])
    if not len(links) == len(header["groups"]) == len(header["job_id"]):
        raise ValueError("links, groups and jobs differ in number")
    empty = empty_state(links)
    findings = [_finding(entry) for entry in header["standing"]]
    of_jobs = [_finding(entry) for entry in header["standing_jobs"]]
    return replace(
        empty,
        roster=_part(empty.roster, "roster", arrays),
        baseline=_part(empty.baseline, "baseline", arrays),
        status=_part(empty.status, "status", arrays),
        sums=_part(empty.sums, "sums", arrays),
        limits=_limits(header["limits"]),
        time=header["time"],
        windows=header["windows"],
        groups=tuple(header["groups"]),
        job_id=tuple(header["job_id"]),
        detector=_detector(arrays, header["offset"]),
        ruled={Link(**link): _ruling(said) for link, said in header["ruled"]},
        flaps={Link(**link): tuple(times) for link, times in header["flaps"]},
        accused={Link(**link): _accusation(said) for link, said in header["accused"]},
        standing={key_of(finding): finding for finding in findings},
        jobs=jobs_store.restored(header["jobs"], {key_of(f): f for f in of_jobs}),
    )


def _part(empty: Part, name: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Part:
    """The part *name* out of *arrays*, which must look like those of *empty*."""
    found = {}
    for field in fields(empty):  # type: ignore[arg-type]  # a dataclass of arrays
        array, like = arrays[f"{name}.{field.name}"], getattr(empty, field.name)
        if array.shape != like.shape or array.dtype != like.dtype:
            raise ValueError(f"{name}.{field.name} has shape {array.shape}, {array.dtype}")
        found[field.name] = array
    return replace(empty, **found)  # type: ignore[type-var]  # as above


def _limits(said: list[float]) -> NDArray[np.float64]:
    limits = np.array(said, dtype=np.float64)
    if limits.shape != ASSUMED.shape or not (limits > 0).all():
        raise ValueError(f"limits are {said!r}")
    return limits


def _detector(
    arrays: dict[str, np.ndarray[Any, Any]], offset: float | None
) -> ShortfallDetector | None:
    if offset is None:
        return None
    centers = arrays["detector.centers"]
    if centers.ndim != 2 or centers.shape[1] != len(NAMES) or not np.isfinite(centers).all():
        raise ValueError(f"detector.centers has shape {centers.shape}")
    return ShortfallDetector.restored(centers, float(offset))


def _ruling(said: dict[str, Any]) -> Ruling:
    return Ruling(**{**said, "rule": Rule(said["rule"])})


def _accusation(said: dict[str, Any]) -> Accusation:
    return Accusation(
        cause=said["cause"],
        score=said["score"],
        candidates=tuple(Candidate(**entry) for entry in said["candidates"]),
        evidence=tuple(Evidence(**entry) for entry in said["evidence"]),
    )


def _finding(entry: dict[str, Any]) -> Finding:
    said = _accusation(entry)
    return Finding(
        **{
            **entry,
            "kind": FindingKind(entry["kind"]),
            "state": FindingState(entry["state"]),
            "candidates": said.candidates,
            "evidence": said.evidence,
        }
    )
