"""Section `realism`: how well a classifier tells simulated null windows from real ones.

On the residuals that the analyzer uses, of a fleet without faults that is polled as the trace was,
cross-validated by NIC. 0.5 is indistinguishable, 1.0 is told apart always.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from evaluate.habits import trace_path
from railwatch_analyzer.frame import POSITION, WINDOW_COLUMNS
from railwatch_analyzer.peers import group_names, group_numbers, peer_medians
from railwatch_analyzer.simulation.habits import PERFECT, ZHEJIANG, Habits
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import Fidelity, Simulation
from railwatch_analyzer.simulation.recorded import Movements, movements, recording
from railwatch_analyzer.simulation.topology import Topology
from railwatch_analyzer.sources.trace import read_trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 1
SECONDS = 240.0
_LINE_RATE = 25e9
_COLUMNS = [name for name in WINDOW_COLUMNS if "bytes_per_second" in name]
_PEERS = 4
_ROWS = 5000
_FOLDS = 5
_BUSY_SHARE = 0.02
_FABRIC = Topology(nodes=24, rails=4, line_rate=_LINE_RATE, nodes_per_pod=6, uplinks=8)
_EPOCH = 1_700_000_000.0
_HEADER = (
    "| observer of the simulated fleet | AUC, all features | by the best one alone "
    "| spread of bursts, simulated / real |"
)


@dataclass(frozen=True, slots=True)
class Windows:
    """Residuals against peers, shape (rows, columns), and the NIC of each row."""

    residuals: NDArray[np.float64]
    nics: NDArray[np.str_]


def report() -> str:
    """Return the section's Markdown."""
    path = trace_path()
    if path is None:
        return "The development trace is not on this machine: not measured."
    real, moved = null_windows(path), movements(fleet(), SECONDS)
    observers = {
        "polls every 0.5 s sharp, counters always fresh": PERFECT,
        "polls and refreshes as in the trace, all ports of a switch at once": replace(
            ZHEJIANG, sweep_seconds=0.0
        ),
        "and ports refreshed one after the other, as in the trace": ZHEJIANG,
    }
    rows = [_HEADER, "|---|---|---|---|"]
    for name, habits in observers.items():
        simulated = simulated_windows(moved, habits)
        alone = {c: auc(real, simulated, [at]) for at, c in enumerate(_COLUMNS)}
        best = max(alone, key=lambda column: alone[column])
        spreads = spread(simulated)[1] / spread(real)[1]
        rows.append(
            f"| {name} | {auc(real, simulated):.2f} | {alone[best]:.2f} ({best}) | {spreads:.2f} |"
        )
    return "\n".join([_introduction(len(real.nics)), "", *rows, "", _limits(real, simulated)])


def fleet() -> Simulation:
    """Return a healthy fleet with jobs of the trace's mean rates, spread over leaves as there."""
    names = _FABRIC.names
    halves = [
        [names[pod * 6 + at] for pod in range(4) for at in part] for part in ((0, 1, 2), (3, 4, 5))
    ]
    jobs = tuple(
        Job(
            job_id=f"job{number}",
            nodes=tuple(nodes),
            step_seconds=step,
            compute_share=share,
            bytes_per_step=rate / 8 * step,
            jitter=jitter,
            chunks_per_step=64,
        )
        for number, (nodes, step, share, rate, jitter) in enumerate(
            zip(halves, (2.2, 4.6), (0.45, 0.35), (68e9, 25e9), (0.02, 0.05), strict=True)
        )
    )
    return Simulation(topology=_FABRIC, jobs=jobs, seed=SEED, fidelity=Fidelity.FLOW)


def simulated_windows(moved: Movements, habits: Habits) -> Windows:
    """Return the windows of the fleet as an observer of these *habits* records it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rails.parquet")
        recording(fleet(), moved, habits, start=_EPOCH).to_parquet(path)
        return null_windows(path)


def null_windows(path: Path) -> Windows:
    """Return all windows of a recording in which a NIC's group is busy."""
    places = [POSITION[name] for name in _COLUMNS]
    residuals, nics = [], []
    for frame in read_trace(path, speed_bytes_per_second=_LINE_RATE):
        rates = np.full(len(frame.links), _LINE_RATE)
        groups = group_numbers(group_names(frame.links, frame.job_id, rates))
        level = np.log(np.maximum(frame.values[:, places], 1e3))
        medians, peers = peer_medians(level, groups)
        known = np.isfinite(level).all(axis=1) & (peers.min(axis=1) >= _PEERS)
        known &= np.exp(medians[:, 0]) > _BUSY_SHARE * _LINE_RATE
        residuals.append((level - medians)[known])
        nics += [
            f"{link.node}/{link.device}" for link, k in zip(frame.links, known, strict=True) if k
        ]
    return Windows(np.concatenate(residuals), np.array(nics))


def auc(real: Windows, simulated: Windows, columns: list[int] | None = None) -> float:
    """Return how well a classifier tells the two apart on NICs that it has not seen."""
    draw, parts, sides = np.random.default_rng(SEED), [], []
    for side, windows in (("real", real), ("simulated", simulated)):
        count = min(_ROWS, len(windows.nics))
        rows = draw.choice(len(windows.nics), count, replace=False)
        parts.append(windows.residuals[rows][:, columns or slice(None)])
        sides.append(np.char.add(side, windows.nics[rows]))
    features, groups = np.concatenate(parts), np.concatenate(sides)
    truth = np.repeat([0, 1], [len(part) for part in parts])
    model = HistGradientBoostingClassifier(max_iter=60, random_state=SEED)
    folds = GroupKFold(_FOLDS, shuffle=True, random_state=SEED)
    answers = cross_val_predict(
        model, features, truth, groups=groups, cv=folds, method="predict_proba"
    )
    return float(roc_auc_score(truth, answers[:, 1]))


def spread(windows: Windows) -> NDArray[np.float64]:
    """Return the robust spread of each column."""
    return 1.4826 * np.median(np.abs(windows.residuals), axis=0)


def _introduction(rows: int) -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"Seed {SEED}, revision {revision}. {rows:,} null windows "
        f"of 5 s of the development trace against {SECONDS:.0f} s of a healthy simulated fleet of "
        f"{len(_FABRIC.links)} NICs (flow model), on the residuals of burst rate, peak and spread "
        "against peers, both directions. Gradient boosting, "
        f"{_FOLDS} folds, none of which shares a NIC with another. 0.5: nobody could tell; "
        "1.0: anybody could."
    )


def _limits(real: Windows, simulated: Windows) -> str:
    """Say what gives the best of the simulations away."""
    both = [np.corrcoef(w.residuals[:, 1], w.residuals[:, 4])[0, 1] for w in (simulated, real)]
    lines = [
        f"- {name}: {ours:.3f} simulated, {theirs:.3f} real"
        for name, ours, theirs in zip(_COLUMNS, spread(simulated), spread(real), strict=True)
    ]
    return (
        "What gives the last one away: robust spreads of residuals (log ratios),\n\n"
        + "\n".join(lines)
        + "\n\nand that what a NIC sends and receives moves together: the burst residuals of the "
        f"two directions correlate with {both[0]:.2f} simulated and {both[1]:.2f} real. "
        "Counters other than bytes (pauses, congestion, FEC) are not in the trace, so nothing is "
        "said of their realism."
    )
