# SPDX-License-Identifier: Apache-2.0
"""What is known of each GPU: the newest report, and its Xid errors so far.

One thread writes it; what others read is a `GpuView`, made anew each time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from railwatch.catalogue.gpu import XidClass
from railwatch.catalogue.xid import xid_class
from railwatch_agent.sources.nvml.quantities import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch_agent.sources.nvml.reports import GpuReport, Hello, Xid


log = logging.getLogger(__name__)

# The newest Xid is told for this long.
_XID_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU as it is known now; None is unknown."""

    number: int
    address: str
    state: State
    report: GpuReport | None
    xids: Mapping[XidClass, int] | None
    last_xid: int | None


@dataclass(slots=True)
class _Account:
    address: str
    state: State
    report: GpuReport | None = None
    xids: dict[XidClass, int] = field(default_factory=lambda: dict.fromkeys(XidClass, 0))
    watches_xid: bool = False
    last_xid: int = 0
    last_xid_at: float = -_XID_SECONDS


class Ledger:
    """The accounts of all GPUs by number."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self._denied: set[str] = set()
        self.driver_version = ""

    def open(self, hello: Hello) -> None:
        """Take down which GPUs a new child has found."""
        self.driver_version = hello.driver_version
        for number, address, state in hello.gpus:
            account = self._accounts.setdefault(number, _Account(address, state))
            account.state = state
            if state is not State.PRESENT:
                account.report = None

    def leave_out(self, number: int) -> None:
        """Drop what a GPU said last, as it is not asked any more."""
        account = self._accounts.get(number)
        if account is not None:
            account.report, account.state = None, State.LEFT_OUT

    def miss_all(self) -> None:
        """Take down that no driver is there to know a GPU."""
        for account in self._accounts.values():
            account.report, account.state = None, State.MISSING

    def take_report(self, report: GpuReport) -> None:
        """Take down what a GPU said."""
        account = self._accounts.get(report.number)
        if account is None:
            return
        account.report = report
        account.state = State.LOST if report.is_lost else State.PRESENT
        account.watches_xid |= report.watches_xid
        news = set(report.denied) - self._denied
        if news:
            # Of one GPU for all: they are asked by the same user.
            self._denied |= news
            log.info("gpu: this user may not read %s", ", ".join(sorted(news)))

    def take_xid(self, xid: Xid, now: float) -> None:
        """Count an Xid error."""
        account = self._accounts.get(xid.gpu)
        if account is not None:
            kind = xid_class(xid.xid)
            account.xids[kind] += 1
            account.last_xid, account.last_xid_at = xid.xid, now
            log.warning("gpu=%d Xid %d (%s)", xid.gpu, xid.xid, kind)

    def views(self, now: float, since: float) -> tuple[GpuView, ...]:
        """Return all GPUs in the order of their numbers, with what they said *since* then."""
        return tuple(
            GpuView(
                number=number,
                address=account.address,
                state=account.state,
                report=_newer(account.report, since),
                xids=dict(account.xids) if account.watches_xid else None,
                last_xid=account.last_xid if now - account.last_xid_at < _XID_SECONDS else None,
            )
            for number, account in sorted(self._accounts.items())
        )


def _newer(report: GpuReport | None, since: float) -> GpuReport | None:
    return report if report is not None and report.time >= since else None
