"""What the analyzer says of a job at one moment. Pure; the series are the contract's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from agent.program import Metrics


@dataclass(frozen=True, slots=True)
class Verdict:
    """One look at the analyzer; what it does not say is None or empty.

    `accused` are links that are called degraded or down, `waited_for` nodes and why.
    """

    bound: bool | None
    exposed_share: float | None
    step_seconds: float | None
    causes: frozenset[str]
    waited_for: frozenset[tuple[str, str]]
    accused: frozenset[str]

    @classmethod
    def of(cls, metrics: Metrics, job_id: str) -> Self:
        """Read a scrape."""

        def of_job(what: str) -> dict[tuple[tuple[str, str], ...], float]:
            found = metrics.get(f"railwatch_{what}", {})
            return {labels: v for labels, v in found.items() if ("job_id", job_id) in labels}

        def value(what: str) -> float | None:
            return next(iter(of_job(what).values()), None)

        bound = value("job_communication_bound")
        stragglers = [dict(labels) for labels, v in of_job("straggler").items() if v]
        verdicts = metrics.get("railwatch_link_verdict", {})
        return cls(
            bound=None if bound is None else bool(bound),
            exposed_share=value("job_exposed_communication_ratio"),
            step_seconds=value("job_step_seconds"),
            causes=frozenset(dict(labels)["cause"] for labels in of_job("job_bound_cause_info")),
            waited_for=frozenset((found["node"], found["kind"]) for found in stragglers),
            accused=frozenset(dict(labels)["node"] for labels, v in verdicts.items() if v >= 3),
        )
