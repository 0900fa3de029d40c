"""Plots of section `links`: delay as a survival curve, recall against false alarms."""

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

    from evaluate.folds import Fold, Outcome
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


def plot_curves(cells: Cells, forward: Fold, backward: Fold, middle: float) -> None:
    """Draw recall in 180 s against false alarms a day of a link, as the alarm's score is moved."""
    calm, days = [], 0.0
    for judged in (forward, backward):
        begin = judged.since(judged.frames[0].time + middle)
        calm.append(np.nan_to_num(np.nanmax(judged.scores[begin:], axis=0)))
        days += len(judged.recording.links) * (len(judged.frames) - begin) * 5.0 / 86_400.0
    highest = np.concatenate(calm)
    thresholds = np.geomspace(0.2, 4.0, 80)
    alarms = [(highest >= threshold).sum() / days for threshold in thresholds]
    figure, axis = plt.subplots(figsize=(7.5, 4.2))
    for (coupling, severity), outcomes in cells.items():
        if severity.share in (0.5, 0.6, 0.75):
            peaks = np.array([o.peaks[180.0] for o in outcomes])
            recall = [100 * (peaks >= threshold).mean() for threshold in thresholds]
            style = {"none": "-", "barrier": "--", "lockstep": ":"}[coupling.value]
            color = {0.5: "C0", 0.6: "C1", 0.75: "C2"}[severity.share]
            axis.plot(alarms, recall, style, color=color, label=f"{severity}, {coupling.value}")
    axis.axvline(3 / days, color="grey", lw=0.8)
    axis.text(3 / days, 2, " what 0 alarms would prove (3/N)", fontsize=7, color="grey")
    axis.set_xscale("symlog", linthresh=0.3)
    axis.set(
        xlabel="links alarming falsely, a day of a link", ylabel="found in 180 s, %", ylim=(0, 102)
    )
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, PLOTS / "links_curves.svg")


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
