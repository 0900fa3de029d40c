"""Plot of section `links`: delay as a survival curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from evaluate.figures import PLOTS
from evaluate.folds import HORIZONS

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "railwatch"

from matplotlib import pyplot as plt  # noqa: E402 - after the backend was chosen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from evaluate.folds import Outcome
    from evaluate.injection import Coupling
    from evaluate.trials import Severity

    Cells = Mapping[tuple[Coupling, Severity], list[Outcome]]


def plot_survival(cells: Cells) -> None:
    """Draw, for each coupling, the share of faults that were found by a delay."""
    couplings = sorted(
        {coupling for coupling, _ in cells}, key=list(type(next(iter(cells))[0])).index
    )
    figure, axes = plt.subplots(1, len(couplings), figsize=(11, 3.6), sharey=True)
    delays = np.arange(0.0, HORIZONS[-1] + 1.0)
    # Not every severity has room in every coupling; each keeps its colour.
    severities = sorted({str(severity) for _, severity in cells})
    color = {severity: f"C{number}" for number, severity in enumerate(severities)}
    for axis, coupling in zip(axes, couplings, strict=True):
        for (which, severity), outcomes in cells.items():
            if which is coupling:
                late = np.array([o.delay for o in outcomes])
                axis.step(
                    delays,
                    [100 * (late > delay).mean() for delay in delays],
                    where="post",
                    color=color[str(severity)],
                    label=str(severity),
                )
        axis.set(
            title=f"coupling: {coupling.value}", xlabel="seconds since the onset", ylim=(0, 102)
        )
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("faults not found yet, %")
    axes[-1].legend(fontsize=8)
    _save(figure, PLOTS / "links_delay.svg")


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
