"""Derive the numbers of `railwatch_analyzer.simulation.habits` from the development trace.

    RAILWATCH_TRACES=... python -m evaluate.habits

Prints them as they are committed; the trace itself is not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evaluate.residuals import COLUMNS, Windows, null_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRACE = "rail_traffic_dev.parquet"
_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
# The counters' own clock ticks about once a second; a NIC that stands still shows no refresh.
_LONGEST_REFRESH = 2.5
# Of the ports of a job that move, so many at least, in so many polls at least.
_LEAST_PORTS = 6
_ACTIVE_SHARE = 0.4
_BURST = COLUMNS.index("transmit_window_top_decile_bytes_per_second")
# Gaps and pauses leave residuals of other making beyond this.
_MOST_RESIDUAL = 0.5


def trace_path() -> Path | None:
    """Return where the development trace is, None if it is not on this machine."""
    folder = os.environ.get("RAILWATCH_TRACES")
    path = Path(folder, TRACE) if folder else None
    return path if path is not None and path.exists() else None


def read_table(path: Path) -> pd.DataFrame:
    """Read the trace in order of NIC and time."""
    names = {"instance": str, "device": str, "switch": str, "job_id": str}
    return pd.read_parquet(path).astype(names).sort_values(["instance", "device", "timestamp_ms"])


def derive(table: pd.DataFrame, windows: Windows) -> str:
    """Return the source text of the habits that the trace shows, as table and as windows."""
    offset, drift = _offsets(windows)
    often = len(windows.pauses) / windows.job_seconds * 3600.0
    shortest, longest = min(windows.pauses, default=0.0), max(windows.pauses, default=0.0)
    polls, missed = _polls(table)
    refresh, jitter = _refresh(table)
    pairs = ", ".join(
        f"({s:g}, {q:.3f})" for s, q in zip(_SHARES, np.quantile(polls, _SHARES), strict=True)
    )
    return (
        f"poll_quantiles=({pairs}),\nrefresh_seconds={refresh:.3f},\n"
        f"refresh_jitter_seconds={jitter:.3f},\nsweep_seconds={_sweep(table, refresh):.3f},\n"
        f"missed_share={missed:.4f},\noffset_share={offset:.3f},\ndrift_share={drift:.3f},\n"
        f"job_pauses_per_hour={often:.2f},\njob_pause_seconds=({shortest:.0f}, {longest:.0f}),"
    )


def _polls(table: pd.DataFrame) -> tuple[NDArray[np.float64], float]:
    """Spacings of the polls of switches, and the share of their ports that polls leave out."""
    spacings, missed = [], []
    for _, ports in table.groupby("switch"):
        seen = ports.groupby("timestamp_ms").size()
        missed.append(1.0 - seen.mean() / ports.groupby(["instance", "device"]).ngroups)
        spacings.append(np.diff(seen.index.to_numpy()) / 1e3)
    return np.concatenate(spacings), float(np.mean(missed))


def _refresh(table: pd.DataFrame) -> tuple[float, float]:
    """Seconds between refreshes, and the spread of when they come.

    A change is seen at the first poll after a refresh, so the mean spacing of changes is that of
    refreshes; their spread is that of the spacing less what polls add to it.
    """
    means, spreads = [], []
    for _, nic in table.groupby(["instance", "device"]):
        times = nic["timestamp_ms"].to_numpy() / 1e3
        moved = (nic["transmit_bytes_total"] + nic["receive_bytes_total"]).to_numpy()
        spacing = np.diff(times[1:][np.diff(moved) > 0])
        spacing = spacing[spacing < _LONGEST_REFRESH]
        if spacing.size < times.size / 4:
            continue
        waiting = np.diff(times)
        # A refresh waits for its poll for half a spacing in the mean: twice, at both its ends.
        added = 2.0 * np.mean(waiting**2) / 12.0
        means.append(spacing.mean())
        spreads.append(max(spacing.var() - added, 0.0) / 2.0)
    return float(np.median(means)), float(np.sqrt(np.median(spreads)))


def _sweep(table: pd.DataFrame, refresh_seconds: float) -> float:
    """Seconds that a switch takes to refresh its ports.

    In a poll between the refreshes of two ports one of them has changed and the other not, and in
    the next poll it is the other way round. Ports of one job only: all of them move.
    """
    sweeps = []
    for _, ports in table.groupby(["switch", "job_id"]):
        moved = ports.assign(bytes=ports["transmit_bytes_total"] + ports["receive_bytes_total"])
        wide = moved.pivot_table(
            index="timestamp_ms", columns=["instance", "device"], values="bytes"
        )
        changed = wide.diff().gt(0)
        changed = changed.loc[:, changed.mean() > _ACTIVE_SHARE].loc[changed.any(axis=1)]
        count, seconds = changed.shape[1], float(np.ptp(wide.index)) / 1e3
        if count < _LEAST_PORTS:
            continue
        share = changed.mean(axis=1)
        unlike = float((2.0 * share * (1.0 - share)).sum()) * count / (count - 1)
        periods, spacing = seconds / refresh_seconds, seconds / len(wide)
        # Two places on a stretch are a third of it apart in the mean.
        sweeps.append(3.0 * unlike / 2.0 / periods * spacing)
    return float(np.median(sweeps))


def _offsets(windows: Windows) -> tuple[float, float]:
    """What a NIC's bursts differ by from its peers' for good, and how far that drifts.

    What the means of both halves of the trace have in common is the offset; what else they scatter
    by, less the error of a mean of so many windows, is drift.
    """
    residual = np.clip(windows.residuals[:, _BURST], -_MOST_RESIDUAL, _MOST_RESIDUAL)
    later = windows.times > np.median(windows.times)
    rows = pd.DataFrame({"nic": windows.nics, "later": later, "residual": residual})
    halves = rows.pivot_table(index="nic", columns="later", values="residual").dropna()
    together = np.cov(halves.to_numpy().T)
    count = rows.groupby(["nic", "later"]).size().median()
    drift = together.diagonal().mean() - together[0, 1] - residual.var() / count
    return float(np.sqrt(max(together[0, 1], 0.0))), float(np.sqrt(max(drift, 0.0)))


def main() -> int:
    """Print the numbers."""
    path = trace_path()
    if path is None:
        sys.stderr.write("RAILWATCH_TRACES names no folder with the development trace\n")
        return 1
    sys.stdout.write(derive(read_table(path), null_windows(path)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
