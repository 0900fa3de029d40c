# SPDX-License-Identifier: Apache-2.0
"""Where markers are taken to the accounts of the jobs that sent them.

A job is known by its sender's credentials, so that none writes into another's account. A name that
is only the sender's word has an account too, which is that user's and gives way to a job that is
better known; there are few of those, so that nobody crowds out the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from railwatch.catalogue.node import MarkerOutcome
from railwatch_agent.jobs.job import MOST_JOBS
from railwatch_agent.markers.account import Account, Totals
from railwatch_agent.markers.marker import parse_marker
from railwatch_agent.markers.sent import bytes_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch_agent.jobs.identity import Identity
    from railwatch_agent.jobs.place import JobPlace
    from railwatch_agent.sources.marker_socket import Datagram
    from railwatch_agent.tape import Tape

FORGET_SECONDS: Final = 600.0
_MOST_WORDS: Final = 4
# A process's job is looked up again after this: its number may be another's by then.
_KNOWN_SECONDS: Final = 10.0
# A job that has just begun is not known yet.
_UNKNOWN_SECONDS: Final = 2.0
_MOST_SENDERS: Final = 256
# What looking a sender up costs, in datagrams.
_LOOKUP_COST: Final = 4
# Clocks of one node are one clock; what is ahead of it by more than reading it takes is invented.
_AHEAD_SECONDS: Final = 0.5
# A marker is sent when its step ends, and is read when the agent has time.
_BEHIND_SECONDS: Final = 60.0
_SETTLE_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class MarkedJob:
    """A job's steps as they are exposed."""

    job_id: str
    totals: Totals
    period_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Sender:
    job_id: str | None
    is_word: bool
    until: float


class Desk:
    """For one thread; `jobs` and `outcomes` may be read by any."""

    def __init__(
        self,
        *,
        identity: Identity,
        places: Callable[[], Sequence[JobPlace]],
        tape: Tape,
        sample_seconds: Callable[[], float],
    ) -> None:
        self.jobs: tuple[MarkedJob, ...] = ()
        self.outcomes: Counter[MarkerOutcome] = Counter()
        self._identity = identity
        self._places = places
        self._tape = tape
        self._sample_seconds = sample_seconds
        self._accounts: dict[str, Account] = {}
        self._senders: dict[tuple[int, int, str], _Sender] = {}

    def take(self, datagram: Datagram, now: float) -> int:
        """Take a datagram; return what that has cost, in datagrams that cost little."""
        try:
            marker = parse_marker(datagram.data)
            is_possible = marker.end <= now + _AHEAD_SECONDS
        except ValueError:
            is_possible = False
        if datagram.is_truncated or not is_possible:
            self.outcomes[MarkerOutcome.MALFORMED] += 1
            return 1
        cost, sender = self._sender(datagram, marker.job_id, now)
        account = self._account(sender, datagram.uid)
        is_late = marker.end < now - _BEHIND_SECONDS
        is_taken = not is_late and account is not None and account.take(marker, now)
        self.outcomes[MarkerOutcome.ACCEPTED if is_taken else MarkerOutcome.DROPPED] += 1
        return cost

    def settle(self, now: float) -> None:
        """Measure what has been sent, and forget jobs that ended long ago; about once a second."""
        until = now - _SETTLE_SAMPLES * self._sample_seconds()
        for account in list(self._accounts.values()):
            account.settle(now)
            account.measure(until, partial(self._sent, account.job_id))
            if now - account.heard_at > FORGET_SECONDS:
                del self._accounts[account.job_id]
        self.jobs = tuple(
            MarkedJob(account.job_id, account.totals, account.period(now))
            for account in self._accounts.values()
            if account.totals.steps
        )

    def _sender(self, datagram: Datagram, word: str, now: float) -> tuple[int, _Sender]:
        key = (datagram.pid, datagram.uid, word)
        sender = self._senders.get(key)
        if sender is not None and now < sender.until:
            return 1, sender
        if len(self._senders) >= _MOST_SENDERS:
            self._senders.clear()
        job = self._identity.known_job(datagram.pid, datagram.uid)
        name = job or self._identity.word_of(datagram.pid, datagram.uid, word)
        held = _UNKNOWN_SECONDS if job is None else _KNOWN_SECONDS
        sender = _Sender(name, job is None, now + held)
        self._senders[key] = sender
        return 1 + _LOOKUP_COST, sender

    def _account(self, sender: _Sender, uid: int) -> Account | None:
        if sender.job_id is None:
            return None
        owner = uid if sender.is_word else None
        account = self._accounts.get(sender.job_id)
        if account is not None and account.uid == owner:
            return account
        if account is not None and sender.is_word:
            # It is another user's, or a job's that is better known.
            return None
        alike = sum((a.uid is not None) == sender.is_word for a in self._accounts.values())
        if alike >= (_MOST_WORDS if sender.is_word else MOST_JOBS):
            return None
        self._accounts[sender.job_id] = account = Account(sender.job_id, owner)
        return account

    def _sent(self, job_id: str, spans: Sequence[tuple[float, float]]) -> list[float]:
        since = spans[0][0] - 1.0
        rails = self._rails_of(job_id)
        return bytes_sent(spans, [self._tape.track(rail).slice(since) for rail in rails])

    def _rails_of(self, job_id: str) -> tuple[int, ...]:
        places = {place.job_id: place.rails for place in self._places()}
        # Of a node whose job nobody knows, everything is the one that speaks.
        is_only = len(self._accounts) == 1 and [*places] == [""]
        return places.get("" if is_only else job_id, ())
