# SPDX-License-Identifier: Apache-2.0
"""Whether lldpd is here and lets this user ask what the rails are plugged into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from railwatch_agent.collectors.neighbor import interface_of
from railwatch_agent.doctor.checks import Answer
from railwatch_agent.doctor.findings import Status
from railwatch_agent.sources.access import what_opens
from railwatch_agent.sources.lldp import LldpReader, LldpUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from railwatch_agent.inventory import Rail


def ask_lldp(socket: str, rails: Sequence[Rail]) -> Answer:
    """Say on how many rails a neighbour is heard; raises SourceError."""
    if not socket:
        return Answer(Status.OFF, "lldpd is not asked", "[topology] lldp_socket")
    interfaces = [name for rail in rails if (name := interface_of(rail)) is not None]
    path = Path(socket)
    try:
        heard = LldpReader(path).read(interfaces)
    except LldpUnavailableError as exc:
        if exc.is_refusal:
            return Answer(Status.DENIED, str(exc), what_opens(path))
        change = "run lldpd and install its library, or [topology] file"
        return Answer(Status.MISSING, str(exc), change)
    return Answer(Status.OK, f"neighbours are heard on {len(heard)} of {len(interfaces)} devices")
