# SPDX-License-Identifier: Apache-2.0
"""Numbers and names of the contract in words for people: bits, percent, plain features."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from railwatch_analyzer.verdicts import Verdict

if TYPE_CHECKING:
    from railwatch_analyzer.terminal.picture import EvidencePicture, FindingPicture, Picture, Place

UNKNOWN = "unknown"
# Some clocks cannot show the years that a broken one may claim.
_LAST_TIME = 253402300799.0

_FEATURES = {
    "transmit_window_top_decile_bytes_per_second": "transmit bursts",
    "transmit_window_max_bytes_per_second": "transmit peak",
    "transmit_window_std_bytes_per_second": "transmit swing",
    "receive_window_top_decile_bytes_per_second": "receive bursts",
    "receive_window_max_bytes_per_second": "receive peak",
    "receive_window_std_bytes_per_second": "receive swing",
    "queue_occupied_ratio": "queue occupied",
    "speed_bytes_per_second": "line rate",
    "faults_total_link_downed": "times down lately",
    "up": "link",
}
_SCALES = ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"))


def rate(bytes_per_second: float | None) -> str:
    """Return a rate in bits, as line rates are given.

    >>> rate(50e9), rate(1234.0), rate(None)
    ('400 Gbit/s', '9.87 kbit/s', 'unknown')
    """
    if bytes_per_second is None:
        return UNKNOWN
    bits = 8.0 * bytes_per_second
    for scale, unit in _SCALES:
        # What would round up to the next unit is given in it.
        if bits >= 0.9995 * scale:
            return f"{_three_digits(bits / scale)} {unit}"
    return f"{bits:.0f} bit/s"


def _three_digits(number: float) -> str:
    for edge, digits in ((9.995, 2), (99.95, 1)):
        if number < edge:
            return f"{number:.{digits}f}"
    return f"{number:.0f}"


def of_line_rate(peak: float | None, speed: float | None) -> str:
    """Return a peak against what the link can carry: `203 of 400 Gbit/s`."""
    shown, line = rate(peak), rate(speed)
    if peak is None or speed is None:
        return f"{shown} of {line}" if peak is not None or speed is not None else UNKNOWN
    number, unit = shown.split(" ")
    return f"{number} of {line}" if line.endswith(f" {unit}") else f"{shown} of {line}"


def feature(name: str) -> str:
    """Return what people call a feature; *name* is spelled out if it is new here."""
    if name in _FEATURES:
        return _FEATURES[name]
    plain = name.removeprefix("faults_per_second_").removesuffix("_bytes_per_second")
    return plain.removesuffix("_ratio").replace("_", " ")


def quantity(value: float | None, unit: str) -> str:
    """Return *value* of *unit* (of the contract) as people say it."""
    if value is None:
        return UNKNOWN
    if unit == "bytes_per_second":
        return rate(value)
    if unit == "ratio":
        return f"{100 * value:.0f} %"
    if unit == "state":
        return "up" if value else "down"
    number = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return {"events_per_second": f"{number}/s", "events": number}.get(unit, f"{number} {unit}")


def comparison(evidence: EvidencePicture) -> str:
    """Return `observed → expected` with a unit once, if both have the same."""
    return compared(evidence.observed, evidence.expected, evidence.unit, between=" → ")


def compared(observed: float | None, expected: float | None, unit: str, *, between: str) -> str:
    """Return two quantities of one unit, which is said once where it is the same for both.

    >>> compared(25e9, 46e9, "bytes_per_second", between=" → ")
    '200 → 368 Gbit/s'
    >>> compared(25e6, 46e9, "bytes_per_second", between=" → ")
    '200 Mbit/s → 368 Gbit/s'
    """
    first, second = quantity(observed, unit), quantity(expected, unit)
    number, _, said_unit = first.partition(" ")
    if said_unit.endswith("bit/s") and second.endswith(f" {said_unit}"):
        first = number
    return f"{first}{between}{second}"


def place(link: Place) -> str:
    """Return where a link is: `node07 rail 4 (mlx5_4)`."""
    return f"{link.node} rail {link.rail} ({link.device})"


def time_of_day(unix_seconds: float) -> str:
    """Return hours, minutes and seconds of UTC."""
    bounded = min(max(unix_seconds, 0.0), _LAST_TIME)
    return f"{datetime.fromtimestamp(bounded, UTC):%H:%M:%S}"


def learning(picture: Picture) -> str:
    """Return how far the analyzer is from judging: such as `learning, 40 s to go`."""
    if picture.rounds == 0:
        return "no round yet"
    if picture.trained:
        return "trained"
    left = [link.learning_seconds for link in picture.links if link.learning_seconds > 0]
    # Training needs a few links that have learned, not all.
    if len(left) == len(picture.links) and left:
        return f"learning, {min(left):.0f} s to go"
    return "learning"


def counts(picture: Picture) -> str:
    """Return the links by verdict, worst first, without those that there are none of."""
    found = picture.counts()
    parts = [f"{number} {verdict.name.lower()}" for verdict, number in found.items() if number]
    return ", ".join(parts) or "no links"


def nodes(picture: Picture) -> str:
    """Return how many nodes answer."""
    noun = "node" if picture.nodes_seen == 1 else "nodes"
    missed = f", {picture.nodes_missed} missed" if picture.nodes_missed else ""
    return f"{picture.nodes_seen} {noun} seen{missed}"


def verdict_name(finding: FindingPicture) -> str:
    """Return the verdict that a finding stands for."""
    return "down" if finding.kind == "link_down" else Verdict.DEGRADED.name.lower()


def said(finding: FindingPicture) -> str:
    """Return a finding on one line, with its first evidence."""
    words = f"{place(finding.place)} {verdict_name(finding)}"
    if finding.state != "firing":
        return f"{place(finding.place)} no longer {verdict_name(finding)}"
    if finding.cause not in {"", "down"}:
        words += f", {finding.cause}"
    for evidence in finding.evidence[:1]:
        words += f", {feature(evidence.feature)} {comparison(evidence)}"
    return words


def line(picture: Picture) -> str:
    """Return a round on one line: time, links by verdict, the worst link if there is one."""
    parts = [time_of_day(picture.time), nodes(picture), counts(picture), learning(picture)]
    if picture.complaint:
        parts.append(f"the last round failed: {picture.complaint}")
    firing = [finding for finding in picture.findings if finding.state == "firing"]
    if firing:
        parts.append(f"worst: {said(worst_first(firing)[0])}")
    parts += [
        f"job {job.job_id}: {job.cause or 'waiting'}" for job in picture.jobs if job.is_troubled
    ]
    return "  ".join(parts)


def worst_first(findings: list[FindingPicture]) -> list[FindingPicture]:
    """Return *findings* with links that are down first, then by score."""
    return sorted(
        findings, key=lambda f: (f.kind != "link_down", -(f.score or 0.0), f.onset or 0.0)
    )
