"""Reading what a collector yielded."""

from collections.abc import Sequence

from railwatch.catalogue.metric import Distribution, MetricSpec, ReadFailure, Sample

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
