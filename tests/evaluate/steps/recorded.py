"""Real DDP jobs, recorded in network namespaces: what is found against their own marks."""

import numpy as np

from agent.stepping import (
    RECORDED_SIGNALS,
    RECORDINGS,
    Watched,
    recording,
    shares,
    watch_recording,
)
from evaluate.counting import table


def by_recording() -> str:
    """Return the table over recordings."""
    rows = []
    for path in sorted(RECORDINGS.glob("*.npz")):
        held = recording(path.stem)
        found = {name: watch_recording(held, name) for name in RECORDED_SIGNALS}
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
                *(_share(found[name]) for name in RECORDED_SIGNALS),
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
