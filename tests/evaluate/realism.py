"""Section `realism`: how well a classifier tells simulated null windows from real ones.

On the residuals that the analyzer uses, of a fleet without faults that is polled as the trace was,
cross-validated by NIC. 0.5 is indistinguishable, 1.0 is told apart always.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from evaluate.habits import trace_path
from evaluate.residuals import COLUMNS, LINE_RATE, Windows, null_windows, spread
from railwatch_analyzer.simulation.habits import PERFECT, ZHEJIANG, Habits, with_habits
from railwatch_analyzer.simulation.jobs import Job
from railwatch_analyzer.simulation.model import Fidelity, Noise, Simulation
from railwatch_analyzer.simulation.recorded import Movements, movements, recording
from railwatch_analyzer.simulation.topology import Topology

SEED = 1
SECONDS = 180.0
_ROWS = 4000
_FOLDS = 5
_TREES = 60
_FABRIC = Topology(nodes=24, rails=4, line_rate=LINE_RATE, nodes_per_pod=6, uplinks=8)
_EPOCH = 1_700_000_000.0
_HEADER = (
    "| observer of the simulated fleet | AUC, all features | by the best one alone "
    "| spread of bursts, simulated / real |"
)


def report() -> str:
    """Return the section's Markdown."""
    path = trace_path()
    if path is None:
        return "The development trace is not on this machine: not measured."
    real, plain = null_windows(path), fleet(Noise())
    habitual = fleet(with_habits(Noise(), ZHEJIANG))
    moved = movements(plain, SECONDS)
    at_once = replace(ZHEJIANG, sweep_seconds=0.0)
    fleets = {
        "polls every 0.5 s sharp, counters always fresh": (plain, moved, PERFECT),
        "polls and refreshes as in the trace, all ports of a switch at once": (
            plain,
            moved,
            at_once,
        ),
        "and ports refreshed one after the other, as in the trace": (plain, moved, ZHEJIANG),
        "and offsets, drift and pauses of the trace": (
            habitual,
            movements(habitual, SECONDS),
            ZHEJIANG,
        ),
    }
    rows = [_HEADER, "|---|---|---|---|"]
    for name, recorded in fleets.items():
        simulated = simulated_windows(*recorded)
        alone = {c: auc(real, simulated, [at]) for at, c in enumerate(COLUMNS)}
        best = max(alone, key=lambda column: alone[column])
        spreads = spread(simulated)[1] / spread(real)[1]
        rows.append(
            f"| {name} | {auc(real, simulated):.2f} | {alone[best]:.2f} ({best}) | {spreads:.2f} |"
        )
    return "\n".join([_introduction(len(real.nics)), "", *rows, "", _limits(real, simulated)])


def fleet(noise: Noise) -> Simulation:
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
    return Simulation(topology=_FABRIC, jobs=jobs, seed=SEED, noise=noise, fidelity=Fidelity.FLOW)


def simulated_windows(simulation: Simulation, moved: Movements, habits: Habits) -> Windows:
    """Return the windows of *simulation* as an observer of these *habits* records it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rails.parquet")
        recording(simulation, moved, habits, start=_EPOCH).to_parquet(path)
        return null_windows(path)


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
    model = RandomForestClassifier(_TREES, min_samples_leaf=10, random_state=SEED)
    folds = GroupKFold(_FOLDS, shuffle=True, random_state=SEED)
    answers = cross_val_predict(
        model, features, truth, groups=groups, cv=folds, method="predict_proba"
    )
    return float(roc_auc_score(truth, answers[:, 1]))


def _introduction(rows: int) -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"Seed {SEED}, revision {revision}. {rows:,} null windows "
        f"of 5 s of the development trace against {SECONDS:.0f} s of a healthy simulated fleet of "
        f"{len(_FABRIC.links)} NICs (flow model), on the residuals of burst rate, peak and spread "
        "against peers, both directions. Random forest, "
        f"{_FOLDS} folds, none of which shares a NIC with another. 0.5: nobody could tell; "
        "1.0: anybody could."
    )


def _limits(real: Windows, simulated: Windows) -> str:
    """Say what gives the best of the simulations away."""
    both = [np.corrcoef(w.residuals[:, 1], w.residuals[:, 4])[0, 1] for w in (simulated, real)]
    lines = [
        f"- {name}: {ours:.3f} simulated, {theirs:.3f} real"
        for name, ours, theirs in zip(COLUMNS, spread(simulated), spread(real), strict=True)
    ]
    return (
        "What gives the last one away: robust spreads of residuals (log ratios),\n\n"
        + "\n".join(lines)
        + "\n\nand that what a NIC sends and receives moves together: the burst residuals of the "
        f"two directions correlate with {both[0]:.2f} simulated and {both[1]:.2f} real. "
        "Counters other than bytes (pauses, congestion, FEC) are not in the trace, so nothing is "
        "said of their realism."
    )
