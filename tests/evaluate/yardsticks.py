"""Section `yardsticks`: what people use today, on the same faults; each method written anew, small.

Each sees raw metrics of every NIC (bytes a second and the shapes of bursts, both ways) and learns
from the first half. Settings are those that their documentation gives: Grafana's
promql-anomaly-detection (adaptive strategy: bands of two standard deviations or half of the mean
around the mean, for five minutes), netdata (k-means of two centres over five lags of smoothed
differences, an anomaly where all models agree at 99 %; here six models of consecutive stretches),
scikit-learn's IsolationForest with its automatic threshold. A static threshold has what no operator
has: the lowest minute of each NIC's own healthy half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest

from evaluate import rail_trace
from evaluate.counting import table
from evaluate.figures import revision, share
from evaluate.folds import Fold, fold, overlaid_frames
from evaluate.injection import Coupling
from evaluate.rail_trace import MIDDLE
from evaluate.trials import HORIZON, Part, Severity, draw_cap
from railwatch.catalogue.rail import RECEIVE_WINDOW, TRANSMIT_WINDOW
from railwatch_analyzer.frame import column
from railwatch_analyzer.sources.recording import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from railwatch_analyzer.frame import Frame, Link

    # From raw metrics (windows, links, metrics) to flags of shape (windows, links).
    Method = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_SHAPES = [
    column(family[name])
    for family in (TRANSMIT_WINDOW, RECEIVE_WINDOW)
    for name in ("max", "top_decile", "std")
]
_BURST = 1 + 2  # after the two rates: the top decile sent
_MINUTE = 12
_SEVERITIES = (Severity(share=0.5), Severity(share=0.6), Severity(share=0.75))


def report() -> str:
    """Measure, and return the section."""
    path = rail_trace.trace()
    if path is None:
        return rail_trace.NO_TRACE
    judged = fold(read_recording(path))
    links = judged.recording.links
    healthy = raw_metrics(judged.frames, links)
    learned = judged.since(judged.frames[0].time + MIDDLE)
    methods = _methods(healthy[:learned])
    begin, end = judged.frames[0].time, judged.frames[-1].time
    part = Part(begin + MIDDLE + 20.0, end - HORIZON - 10.0, rail_trace.seed())
    faults = [_faults(judged, healthy, severity, part) for severity in _SEVERITIES]
    days = len(links) * (len(judged.frames) - learned) * judged.pace.window_seconds / 86_400.0
    rows = []
    for name, method in methods.items():
        alarms = method(healthy)[learned:].any(axis=0)
        cells = [_found(method, some, 300.0) for some in faults]
        rows.append(
            [name, *cells, f"{alarms.sum()} links ({alarms.sum() / days:.1f} a day of a link)"]
        )
    head = ("method", *(f"{s}, found in 300 s" for s in _SEVERITIES), "alarms without a fault")
    return (
        f"Caps that nobody waits for, n = {rail_trace.count()} a cell, seed {rail_trace.seed()}, "
        f"revision {revision()}; compare with the rows of the first table.\n\n" + table(head, rows)
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    """Raw metrics of a NIC until the horizon (one column of links), and when its fault begins."""

    metrics: NDArray[np.float64]
    times: NDArray[np.float64]
    onset: float


def raw_metrics(frames: Sequence[Frame], links: Sequence[Link]) -> NDArray[np.float64]:
    """Return shape (windows, links, metrics): bytes a second both ways, then shapes of bursts."""
    names = ("transmit_bytes_total", "receive_bytes_total", *_SHAPES)
    out = np.full((len(frames), len(links), len(names)), np.nan)
    read = np.full((len(frames), len(links)), np.nan)
    place = {link: number for number, link in enumerate(links)}
    for number, frame in enumerate(frames):
        rows = [row for row, link in enumerate(frame.links) if link in place]
        columns = [place[frame.links[row]] for row in rows]
        out[number, columns] = np.stack([frame[name][rows] for name in names], axis=1)
        read[number, columns] = frame.sampled_at[rows]
    seconds = np.diff(read, axis=0)
    out[1:, :, :2] = (
        np.diff(out[:, :, :2], axis=0) / np.where(seconds > 0, seconds, np.nan)[:, :, None]
    )
    out[0, :, :2] = np.nan
    return out


def _faults(
    judged: Fold, healthy: NDArray[np.float64], severity: Severity, part: Part
) -> list[_Fault]:
    found = []
    for number in range(rail_trace.count()):
        cap = draw_cap(judged, severity, Coupling.NONE, part, number)
        begin, frames = overlaid_frames(judged, [cap], HORIZON)
        link = judged.recording.links[cap.link]
        during = raw_metrics((judged.frames[begin - 1], *frames), [link])[1:]
        metrics = np.concatenate([healthy[:begin, [cap.link]], during])
        times = np.array([f.time for f in (*judged.frames[:begin], *frames)])
        found.append(_Fault(metrics, times, cap.onset))
    return found


def _found(method: Method, faults: list[_Fault], seconds: float) -> str:
    hits = 0
    for fault in faults:
        alarm = method(fault.metrics)[:, 0]
        during = (fault.times > fault.onset) & (fault.times <= fault.onset + seconds)
        hits += bool(alarm[during].any())
    return share(hits, len(faults))


def _methods(learned: NDArray[np.float64]) -> dict[str, Method]:
    forest = _forest(learned)
    models = _netdata_models(learned)
    return {
        "static threshold": lambda raw: _static(raw, len(learned)),
        "Grafana bands, for 5 min": lambda raw: _lasting(_outside_bands(raw), 5 * _MINUTE),
        "Grafana bands, for 1 min": lambda raw: _lasting(_outside_bands(raw), _MINUTE),
        "IsolationForest, each window": forest,
        "IsolationForest, for 1 min": lambda raw: _lasting(forest(raw), _MINUTE),
        "netdata, a dimension": lambda raw: _netdata(raw, models).any(axis=2),
        "netdata, a tenth of a minute's bits": lambda raw: _often(_netdata(raw, models)),
    }


def _lasting(flags: NDArray[np.bool_], windows: int) -> NDArray[np.bool_]:
    """Where *flags* stood for so many windows."""
    count = np.zeros(flags.shape[1], dtype=np.int64)
    out = np.zeros_like(flags)
    for number, now in enumerate(flags):
        count = np.where(now, count + 1, 0)
        out[number] = count >= windows
    return out


def _rolling(values: NDArray[np.float64], windows: int) -> NDArray[np.float64]:
    """The last *windows* values at each time, shape (windows, times, links); NaN before those."""
    padded = np.concatenate([np.full((windows - 1, *values.shape[1:]), np.nan), values])
    return np.stack([padded[k : k + len(values)] for k in range(windows)])


def _static(raw: NDArray[np.float64], learned: int) -> NDArray[np.bool_]:
    burst = np.fmin(raw[:, :, _BURST], raw[:, :, _BURST + 3])
    minute = np.fmax.reduce(_rolling(burst, _MINUTE), axis=0)
    lowest = np.nanmin(minute[_MINUTE:learned], axis=0)
    return np.asarray(minute < lowest)


def _outside_bands(raw: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bands over all that was seen so far, an hour at most: this trace has less."""
    known = np.isfinite(raw)
    count = np.maximum(np.cumsum(known, axis=0), 1)
    values = np.nan_to_num(raw)
    mean = np.cumsum(values, axis=0) / count
    deviation = np.sqrt(np.maximum(np.cumsum(values**2, axis=0) / count - mean**2, 0.0))
    wide = deviation > 0.5 * mean
    half = np.maximum(np.where(wide, 2.0 * deviation, 0.0), 0.5 * mean)
    outside = known & ((raw < np.maximum(mean - half, 0.0)) | (raw > mean + half))
    outside[:_MINUTE] = False
    return np.asarray(outside.any(axis=2))


def _forest(learned: NDArray[np.float64]) -> Method:
    rows = learned.reshape(-1, learned.shape[2])
    rows = rows[np.isfinite(rows).all(axis=1)][::7]
    model = IsolationForest(contamination="auto", random_state=0).fit(rows)

    def flagged(raw: NDArray[np.float64]) -> NDArray[np.bool_]:
        flat = raw.reshape(-1, raw.shape[2])
        known = np.isfinite(flat).all(axis=1)
        out = np.zeros(len(flat), dtype=bool)
        out[known] = model.predict(flat[known]) == -1
        return out.reshape(raw.shape[:2])

    return flagged


def _lags(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Netdata's vectors: differences, a mean of three, five lags; (times, links, metrics, lags)."""
    steps = np.diff(raw, axis=0, prepend=raw[:1])
    smooth = np.mean(_rolling(steps, 3), axis=0)
    return np.moveaxis(_rolling(smooth, 6), 0, -1)


def _netdata_models(learned: NDArray[np.float64]) -> list[list[tuple[NDArray[np.float64], ...]]]:
    """Per metric the centres of six stretches, and the span of their training distances.

    netdata has models of each series; these are of all NICs at once, which it cannot do.
    """
    vectors = _lags(learned)
    models = []
    for metric in range(learned.shape[2]):
        stretches = []
        for part in np.array_split(vectors[:, :, metric], 6):
            rows = part.reshape(-1, part.shape[-1])
            rows = rows[np.isfinite(rows).all(axis=1)][::5]
            centres = KMeans(2, n_init=1, random_state=0).fit(rows).cluster_centers_
            far = _distance(rows, centres)
            stretches.append((centres, np.array([far.min(), far.max()])))
        models.append(stretches)
    return models


def _distance(rows: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(rows[..., None, :] - centres, axis=-1).mean(axis=-1))


def _netdata(
    raw: NDArray[np.float64], models: list[list[tuple[NDArray[np.float64], ...]]]
) -> NDArray[np.bool_]:
    """Anomaly bits, shape (times, links, metrics): where all models agree."""
    vectors = _lags(raw)
    bits = []
    for metric, stretches in enumerate(models):
        agree = np.ones(raw.shape[:2], dtype=bool)
        for centres, (nearest, farthest) in stretches:
            far = _distance(vectors[:, :, metric], centres)
            agree &= (far - nearest) / (farthest - nearest) > 0.99
        bits.append(agree)
    return np.stack(bits, axis=2)


def _often(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    minute = np.nanmean(_rolling(bits.astype(np.float64).mean(axis=2), _MINUTE), axis=0)
    return np.asarray(minute > 0.1)
