"""Real DDP jobs, recorded in network namespaces: what is found against their own marks."""

from pathlib import Path

import numpy as np

from agent.stepping import Watched, shares
from evaluate.counting import table
from railwatch_agent.steps.history import Samples, Signal

_RECORDINGS = Path(__file__).resolve().parents[2] / "training" / "recordings"
# Of the signals in a recording, how long each averages.
_SIGNALS = {"ideal": 0.01, "gpm": 0.2}


def by_recording() -> str:
    """Return the table over recordings."""
    rows = []
    for path in sorted(_RECORDINGS.glob("*.npz")):
        held = np.load(path)
        found = {name: _watch(held, name) for name in _SIGNALS}
        view = found["ideal"].view
        lengths = held["end"] - held["start"]
        true = held["exposed_seconds"].sum() / lengths.sum()
        rows.append(
            [
                path.stem,
                f"{len(lengths)}, {view.totals.steps}",
                f"{np.median(np.diff(held['start'])):.3f} s",
                "withheld" if view.period_seconds is None else f"{view.period_seconds:.3f} s",
                f"{true:.1%}",
                *(_share(found[name]) for name in _SIGNALS),
            ]
        )
    return table(
        (
            "recording",
            "steps marked, counted",
            "median step",
            "period",
            "exposed, as marked",
            "inferred at 100 Hz (and stalled)",
            "with GPM at 10 Hz",
        ),
        rows,
    )


def _share(watched: Watched) -> str:
    view = watched.view
    if not view.is_split:
        return f"withheld ({view.reason})"
    found = shares(view)
    return f"{found['exposed']:.1%} ({found['stalled']:.1%})"


def _watch(held: dict[str, np.ndarray], signal: str) -> Watched:
    times = held["rail_times"].astype(np.float64)
    rail = Samples(times, held["transmit_bytes"].astype(np.float64))
    gpu = Samples(
        held[f"{signal}_times"].astype(np.float64), held[f"{signal}_activity"].astype(np.float64)
    )
    averaging = _SIGNALS[signal]
    return Watched([rail], [gpu], Signal("gpm", averaging, is_share=True)).follow(float(times[-1]))
