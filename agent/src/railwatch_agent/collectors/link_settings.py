# SPDX-License-Identifier: Apache-2.0
"""How a rail's link is set up and why it is down: one series of labels, from several questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from railwatch.catalogue.metric import Sample
from railwatch.catalogue.rail import RAIL_LINK_INFO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from railwatch_agent.collectors.doors import Doors
    from railwatch_agent.collectors.pacing import Attempts, PacedReading, Pacer
    from railwatch_agent.inventory import Rail
    from railwatch_agent.sources.fec import Fec
    from railwatch_agent.sources.link import LinkState, PauseSettings

# Settings change when somebody changes them, or with the link.
SETTINGS_SECONDS: Final = 60.0
_PAUSES: Final = {
    (False, False): "off",
    (True, False): "receive",
    (False, True): "transmit",
    (True, True): "both",
}


class LinkSettings:
    """The settings of one device; *fec* and *pfc* are readings that others look at too."""

    def __init__(
        self,
        doors: Doors,
        pacer: Pacer,
        *,
        fec: PacedReading[Fec] | None,
        pfc: PacedReading[tuple[int, ...]] | None,
    ) -> None:
        self._state = pacer.reading("link state", doors.link_state)
        self._modes = pacer.reading("link modes", doors.link_modes, SETTINGS_SECONDS)
        self._port = pacer.reading("connector", doors.port, SETTINGS_SECONDS)
        self._pause = pacer.reading("pause settings", doors.pause, SETTINGS_SECONDS)
        self._fec = fec
        self._pfc = pfc

    def samples(self, rail: Rail, attempts: Attempts) -> Iterator[Sample]:
        """Yield the one series, unless nothing is told at all."""
        modes = attempts.value(self._modes)
        pause = attempts.value(self._pause)
        fec = attempts.value(self._fec)
        labels = (
            _switch(None if modes is None else modes.autonegotiates),
            (None if modes is None else modes.duplex) or "",
            str((None if modes is None else modes.lanes) or ""),
            (None if fec is None else fec.mode) or "",
            attempts.value(self._port) or "",
            _pause(pause),
            _switch(None if pause is None else pause.autonegotiates),
            _priorities(attempts.value(self._pfc)),
            _down_reason(attempts.value(self._state)),
        )
        if any(labels):
            yield Sample(RAIL_LINK_INFO, (*rail.labels, *labels), 1)


def _switch(is_on: bool | None) -> str:  # noqa: FBT001 # what is on is not asked for here
    return "" if is_on is None else "on" if is_on else "off"


def _pause(settings: PauseSettings | None) -> str:
    if settings is None or settings.receives is None or settings.transmits is None:
        return ""
    return _PAUSES[settings.receives, settings.transmits]


def _priorities(enabled: tuple[int, ...] | None) -> str:
    if enabled is None:
        return ""
    return ",".join(map(str, enabled)) or "off"


def _down_reason(state: LinkState | None) -> str:
    if state is None or state.is_up is None or state.is_up:
        return ""
    return state.down_reason or "unknown"
