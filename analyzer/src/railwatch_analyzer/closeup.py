# SPDX-License-Identifier: Apache-2.0
"""Close looks at links that look bad: the microscope of their agents, and of a healthy peer's.

A burst that fills a link for five milliseconds is an average over twenty. Both ends of the
comparison are looked at in the same seconds. What comes back is shown beside a finding and judged
by nobody: a verdict rests on what all links report all the time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from railwatch.web import is_loopback, parse_listen
from railwatch_analyzer.findings import Evidence
from railwatch_analyzer.round import verdicts_of
from railwatch_analyzer.sources.http_client import FetchError
from railwatch_analyzer.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from railwatch.clock import Clock
    from railwatch_analyzer.frame import Link
    from railwatch_analyzer.sources.http_client import HttpClient
    from railwatch_analyzer.state import State

log = logging.getLogger(__name__)

# A link that stays bad is looked at again after so long; the agent rests in between, too.
_AGAIN_SECONDS: Final = 300.0
_MOST_AT_ONCE: Final = 4
_ANSWER_SECONDS: Final = 5.0
_PATH: Final = "/api/v1/microscope"
_ACCEPTED: Final = 202
_FINE: Final = 200
_RATES: Final = ("max", "top_decile")


@dataclass(frozen=True, slots=True)
class Pair:
    """A link that looks bad, and one that does not and should look the same."""

    link: Link
    peer: Link


def choose(state: State, looked_at: Mapping[Link, float], now: float) -> list[Pair]:
    """Return which links to look at: suspect or degraded, not looked at lately, with a peer.

    A peer is a normal link of the same rail and job on another node; each is asked once.
    """
    verdicts = verdicts_of(state)
    bad = {Verdict.SUSPECT, Verdict.DEGRADED}
    pairs: list[Pair] = []
    taken: set[str] = set()
    for row, link in enumerate(state.links):
        if len(pairs) == _MOST_AT_ONCE:
            break
        is_due = now - looked_at.get(link, -_AGAIN_SECONDS) >= _AGAIN_SECONDS
        if Verdict(int(verdicts[row])) not in bad or not is_due or link.node in taken:
            continue
        peer = _peer(state, row, taken)
        if peer is not None:
            pairs.append(Pair(link, peer))
            taken |= {link.node, peer.node}
    return pairs


def _peer(state: State, row: int, taken: set[str]) -> Link | None:
    link, verdicts = state.links[row], verdicts_of(state)
    return next(
        (
            other
            for at, other in enumerate(state.links)
            if other.rail == link.rail
            and other.node not in taken | {link.node}
            and state.job_id[at] == state.job_id[row]
            and Verdict(int(verdicts[at])) is Verdict.NORMAL
        ),
        None,
    )


def compare(observed: Mapping[str, Any], expected: Mapping[str, Any]) -> tuple[Evidence, ...]:
    """Return what two agents' microscopes say of the same seconds, as evidence."""
    milliseconds = round(1e3 * float(observed["interval_seconds"]))
    found: list[Evidence] = []
    for direction in ("transmit", "receive"):
        mine, theirs = observed["rates"].get(direction), expected["rates"].get(direction)
        if mine is None or theirs is None:
            continue
        for statistic in _RATES:
            name = f"{statistic}_bytes_per_second"
            feature = f"{direction}_{statistic}_{milliseconds}ms"
            rates = float(mine[name]), float(theirs[name])
            found.append(Evidence(feature, *rates, "bytes_per_second"))
    return tuple(found)


class CloseUps:
    """Has agents look, in a thread of its own, and remembers what they saw.

    Parameters
    ----------
    client
        Shows the agents the token; used by that thread only.
    port
        Of agents whose node's name has none.
    seconds
        How long a look lasts.
    is_secure
        Whether agents are asked over TLS. Others than this machine's are asked only then: who is
        on the way could read the token.
    """

    def __init__(
        self,
        client: HttpClient,
        clock: Clock,
        *,
        port: int = 9810,
        seconds: float = 10.0,
        is_secure: bool = False,
    ) -> None:
        self._client = client
        self._scheme = "https" if is_secure else "http"
        self._was_refused = False
        self._clock = clock
        self._port = port
        self._seconds = seconds
        self._looked_at: dict[Link, float] = {}
        self._evidence: dict[Link, tuple[Evidence, ...]] = {}
        self._thread: threading.Thread | None = None

    def follow(self, state: State) -> None:
        """Have those links looked at that look bad now, unless a look is under way."""
        if self._thread is not None and self._thread.is_alive():
            return
        now = self._clock.monotonic()
        self._forget(now)
        pairs = [p for p in choose(state, self._looked_at, now) if self._may_ask(p)]
        if pairs:
            self._looked_at |= {pair.link: now for pair in pairs}
            self._thread = threading.Thread(
                target=self._look_at, args=(pairs,), name="closeup", daemon=True
            )
            self._thread.start()

    def evidence(self, node: str, rail: str, device: str) -> tuple[Evidence, ...]:
        """Return what the last look at a link has shown, nothing without one."""
        found = self._evidence.items()
        wanted = (node, rail, device)
        return next((e for link, e in found if (link.node, link.rail, link.device) == wanted), ())

    def wait(self, seconds: float) -> None:
        """Wait for the look that is under way, so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def close(self) -> None:
        """End: wait for the look that is under way, then close the connections."""
        self.wait(self._seconds + 3 * _ANSWER_SECONDS)
        self._client.close()

    def _may_ask(self, pair: Pair) -> bool:
        """Whether the token stays secret on the way to both; says once if not."""
        hosts = (parse_listen(self._address(link))[0] for link in (pair.link, pair.peer))
        if self._scheme == "https" or all(is_loopback(host) for host in hosts):
            return True
        if not self._was_refused:
            self._was_refused = True
            log.warning(
                "[microscope] token_file: no agent on another machine is asked, for the token "
                "could be read on the way; tls_ca_file has them asked over TLS"
            )
        return False

    def _forget(self, now: float) -> None:
        """Links come and go; what was seen of them is of no use for ever."""
        old = [link for link, at in self._looked_at.items() if now - at > 4 * _AGAIN_SECONDS]
        for link in old:
            del self._looked_at[link]
            self._evidence.pop(link, None)

    def _look_at(self, pairs: list[Pair]) -> None:
        self._client.run(self._look_at_all(pairs))

    async def _look_at_all(self, pairs: list[Pair]) -> None:
        await asyncio.gather(*(self._look(pair) for pair in pairs))

    async def _look(self, pair: Pair) -> None:
        """Have both ends looked at in the same seconds, and remember what differs."""
        links = (pair.link, pair.peer)
        try:
            await asyncio.gather(*(self._begin(link) for link in links))
            await asyncio.sleep(self._seconds)
            seen = await asyncio.gather(*(self._seen(link) for link in links))
            self._evidence = {**self._evidence, pair.link: compare(*seen)}
        except (FetchError, ValueError, KeyError, TypeError) as exc:
            # Agents without a microscope, or busy with another look: there is no evidence then.
            log.info("no close look at node=%s rail=%s: %s", pair.link.node, pair.link.rail, exc)

    async def _begin(self, link: Link) -> None:
        question = {"rail": link.rail, "seconds": f"{self._seconds:g}"}
        answer = await self._client.post(
            self._url(link), within_seconds=_ANSWER_SECONDS, parameters=question
        )
        if answer.status != _ACCEPTED:
            raise FetchError(f"{self._url(link)} answered {answer.status}")

    async def _seen(self, link: Link) -> dict[str, Any]:
        answer = await self._client.get(self._url(link), within_seconds=_ANSWER_SECONDS)
        if answer.status != _FINE:
            raise FetchError(f"{self._url(link)} answered {answer.status}")
        seen: dict[str, Any] = orjson.loads(answer.body)
        if seen["rail"] != link.rail:
            raise FetchError(f"{self._url(link)} has looked at rail {seen['rail']}")
        return seen

    def _address(self, link: Link) -> str:
        host, colon, port = link.node.rpartition(":")
        is_complete = bool(colon) and port.isdecimal() and (":" not in host or host.endswith("]"))
        return link.node if is_complete else f"{link.node}:{self._port}"

    def _url(self, link: Link) -> str:
        return f"{self._scheme}://{self._address(link)}{_PATH}"
