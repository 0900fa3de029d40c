"""Reading what a collector yielded."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from railwatch.catalogue.metric import Distribution, MetricSpec, ReadFailure, Sample

_GOLDEN = Path(__file__).with_name("golden")

Readings = Sequence[Sample | ReadFailure]
Values = dict[tuple[str, ...], float | Distribution]


def values(readings: Readings, spec: MetricSpec) -> Values:
    """Return the values of a family by the labels after rail and device."""
    skipped = 2 if spec.labels[:1] == ("rail",) else 0
    found = (r for r in readings if isinstance(r, Sample) and r.spec is spec)
    return {sample.labels[skipped:]: sample.value for sample in found}


def value(readings: Readings, spec: MetricSpec) -> float | Distribution | None:
    """Return the value of the one series that has no other label, None if there is none."""
    return values(readings, spec).get(())


def golden(name: str, text: str) -> str:
    """Return what a golden file holds, which with `RAILWATCH_GOLDEN=1` is *text* from now on."""
    path = _GOLDEN / name
    if "RAILWATCH_GOLDEN" in os.environ:
        path.write_text(text)
    return path.read_text()


def promtool_says(exposition: str) -> list[str]:
    """Return the lines in which promtool finds fault with an exposition."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return (done.stdout + done.stderr).splitlines()
