# SPDX-License-Identifier: Apache-2.0
"""Labelled cases for evaluations: each a fleet with one fault of a known kind and level, or none.

    for case in cases(levels=LEVELS_SEEN, seeds=range(3)):
        for window in labelled_frames(case):
            ... window.frame, window.at_fault, window.in_fault

All by the flow-level model, so that a fault shifts several counters a little: pause, congestion
notifications, losses, FEC, byte rates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.faults import (
    BitErrors,
    BusyHost,
    Congestion,
    Downtrain,
    Flap,
    LateInput,
    Loss,
    PauseStorm,
    ReceiveCap,
    SlowGpu,
    SlowReceiver,
    SlowSwitch,
    TransmitCap,
)
from railwatch_analyzer.simulation.frames import frames
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.levels import LEVELS_SEEN, FaultKind
from railwatch_analyzer.simulation.model import Fidelity, Simulation
from railwatch_analyzer.simulation.topology import Topology
from railwatch_analyzer.simulation.truth import Blame, truths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Frame
    from railwatch_analyzer.simulation.faults import Fault
    from railwatch_analyzer.simulation.truth import Truth

# Some day; windows align to it.
EPOCH = 1_700_000_000.0
# Steps of healthy jobs in the field vary by so much, as a share of their compute time.
_JITTERS = (0.0014, 0.07)
_FABRIC = Topology(nodes=12, rails=2, nodes_per_pod=6, uplinks=2)


# What makes a fault of each kind, and the argument that is its level.
_FAULTS: Mapping[FaultKind, tuple[Callable[..., Fault], str]] = {
    FaultKind.TRANSMIT_CAP: (TransmitCap, "share"),
    FaultKind.RECEIVE_CAP: (ReceiveCap, "share"),
    FaultKind.NIC_DOWNTRAIN: (partial(Downtrain, pcie=False), "share"),
    FaultKind.PCIE_DOWNTRAIN: (partial(Downtrain, pcie=True), "share"),
    FaultKind.SLOW_RECEIVER: (SlowReceiver, "share"),
    FaultKind.LOSS: (Loss, "share"),
    FaultKind.BIT_ERRORS: (BitErrors, "ratio"),
    FaultKind.FLAP: (Flap, "period_seconds"),
    FaultKind.PAUSE_STORM: (PauseStorm, "share"),
    FaultKind.SLOW_SWITCH: (SlowSwitch, "share"),
    FaultKind.CONGESTION: (Congestion, "share"),
    FaultKind.SLOW_GPU: (SlowGpu, "factor"),
    FaultKind.LATE_INPUT: (LateInput, "seconds"),
    FaultKind.BUSY_HOST: (BusyHost, "share"),
}
_OF_SWITCHES = {FaultKind.SLOW_SWITCH, FaultKind.CONGESTION}
_OF_NODES = {FaultKind.SLOW_GPU, FaultKind.LATE_INPUT, FaultKind.BUSY_HOST}


@dataclass(frozen=True, slots=True)
class Case:
    """A simulation and what is true of it; `kind` is None where nothing is wrong.

    `fine` is whether chunks last microseconds, as those of a real ring at 400 Gbit/s do: the byte
    rates of all ranks sink together then, and only counters tell. Else they last tens of
    milliseconds.
    """

    name: str
    kind: FaultKind | None
    level: float
    fine: bool
    simulation: Simulation
    truths: tuple[Truth, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame and what is true of its rows over its window.

    Attributes
    ----------
    at_fault
        Shape (links,), whether a link is to blame; a node's fault blames no link.
    in_fault
        Whether any fault held during the whole window.
    mixed
        Whether a fault began or ended within the window: it is neither.
    """

    frame: Frame
    at_fault: NDArray[np.bool_]
    in_fault: bool
    mixed: bool


def cases(
    *,
    levels: Mapping[FaultKind, tuple[float, ...]] = LEVELS_SEEN,
    seeds: Iterable[int] = (0,),
    kinds: Iterable[FaultKind] | None = None,
    fine: tuple[bool, ...] = (False, True),
    healthy_seconds: float = 120.0,
    fault_seconds: float = 90.0,
) -> Iterator[Case]:
    """Yield a healthy case for each seed and grain, and one for each kind and level.

    Every one has a job of its own, drawn from its seed: length and variation of steps, share of
    compute, who is in it. The fault comes after *healthy_seconds* and stays for *fault_seconds*.
    """
    wanted = tuple(levels if kinds is None else kinds)
    drawn = [(None, 0.0), *((kind, level) for kind in wanted for level in levels[kind])]
    for seed in seeds:
        for grain in fine:
            for kind, level in drawn:
                seconds = healthy_seconds + fault_seconds
                yield _case(kind, level, seed, fine=grain, onset=healthy_seconds, seconds=seconds)


def labelled_frames(case: Case, window_seconds: float = 5.0) -> Iterator[LabelledFrame]:
    """Yield the frames of *case*, window by window, with what is true of them."""
    count = int(case.seconds / window_seconds)
    seen = frames(case.simulation, start=EPOCH, window_seconds=window_seconds)
    for frame in islice(seen, count):
        end = float(frame.window_end[0]) - EPOCH
        yield _labelled(case, frame, end - window_seconds, end)


def _labelled(case: Case, frame: Frame, begin: float, end: float) -> LabelledFrame:
    whole = [t for t in case.truths if t.onset <= begin and (t.end is None or t.end >= end)]
    touching = [t for t in case.truths if t.onset < end and (t.end is None or t.end > begin)]
    blamed = {link for t in whole if t.blame is not Blame.NODE for link in t.links}
    return LabelledFrame(
        frame=frame,
        at_fault=np.array([link in blamed for link in frame.links]),
        in_fault=bool(whole),
        mixed=len(touching) > len(whole),
    )


def _case(
    kind: FaultKind | None, level: float, seed: int, *, fine: bool, onset: float, seconds: float
) -> Case:
    draw = np.random.default_rng([seed, int(fine)])
    job = _job(draw, fine=fine)
    node, rail = str(draw.choice(job.nodes[1:-1])), int(draw.integers(_FABRIC.rails))
    faults = () if kind is None else (_fault(kind, level, node=node, rail=rail, onset=onset),)
    simulation = Simulation(
        topology=_FABRIC, jobs=(job,), faults=faults, seed=seed, fidelity=Fidelity.FLOW
    )
    grain = "fine" if fine else "coarse"
    return Case(
        name=f"{kind or 'healthy'} {level:g} {grain} seed {seed}",
        kind=kind,
        level=level,
        fine=fine,
        simulation=simulation,
        truths=truths(simulation),
        seconds=seconds,
    )


def _job(draw: np.random.Generator, *, fine: bool) -> Job:
    step, share = float(draw.uniform(0.8, 2.0)), float(draw.uniform(0.5, 0.75))
    low, high = np.log(_JITTERS)
    job = Job(
        job_id="job1",
        nodes=_FABRIC.names,
        step_seconds=step,
        compute_share=share,
        bytes_per_step=_FABRIC.line_rate * float(draw.uniform(0.8, 0.95)) * step * (1.0 - share),
        jitter=float(np.exp(draw.uniform(low, high))),
    )
    return replace(job, chunks_per_step=10_000) if fine else job


def _fault(kind: FaultKind, level: float, *, node: str, rail: int, onset: float) -> Fault:
    """Return the fault of this *kind* and *level*; see `FaultKind` for what a level is."""
    build, measure = _FAULTS[kind]
    if kind in _OF_SWITCHES:
        where: dict[str, object] = {"switch": _FABRIC.switches[_FABRIC.row(node, rail)]}
    elif kind in _OF_NODES:
        where = {"node": node}
    else:
        where = {"node": node, "rail": rail}
    return build(start=onset, **{measure: level}, **where)
