# SPDX-License-Identifier: Apache-2.0
"""The report as programs read it: one JSON object.

{
"format": 1,            grows when a key changes its meaning or goes; keys may be added
"version": "0.1.0",     of the agent
"node": "gpu-017",      its host name
"rails": 8,             in the inventory, those that are gone included
"watched": 8,           of which the bytes can be read; exit code 0 unless it is 0
"findings": [
{
"section": "metrics",   node, permissions, gpu, jobs, rails, left out, sources or metrics
"what": "railwatch_rail_faults_total",
"status": "ok",         ok, absent, denied, failed, off or missing
"detail": "",           what was seen, or why not
"change": "",           what would change it
"rail": 0,              its number, null for what belongs to none
"values": ["retransmit"],   of the last label, where only some; else empty
"source": "/sys/..."    where METRICS.md says that the metric comes from; else empty
}
]
}
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from railwatch_agent.doctor.examination import Examination

_FORMAT: Final = 1


def render_json(examination: Examination) -> str:
    """Return the report as the module describes it."""
    return json.dumps({"format": _FORMAT, **asdict(examination)}, indent=2) + "\n"
