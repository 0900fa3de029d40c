# SPDX-License-Identifier: Apache-2.0
"""What the rails are plugged into: by the topology file where it knows a rail, else by LLDP.

The file is somebody's plan and comes first: a rail that is dead or on InfiniBand is in it too. What
lldpd does not hear any more is gone with the next round.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Protocol

from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import RAIL_NEIGHBOR_INFO
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.lldp import LldpUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from railwatch_agent.inventory import Rail
    from railwatch_agent.sources.topology import Neighbor

    class Plan(Protocol):
        """Neighbours by device, as somebody has written them down."""

        def read(self) -> Mapping[str, Neighbor]:
            """Return them; raises SourceError."""
            ...

    class Ears(Protocol):
        """Neighbours by interface, as they are heard."""

        def read(self, interfaces: Collection[str]) -> Mapping[str, Neighbor]:
            """Return them; raises SourceError, or LldpUnavailableError."""
            ...


log = logging.getLogger(__name__)


class NeighborCollector:
    """Collects all rails; *rails* answers with the inventory as it is now.

    *ways* answers with the plan and the ears to be asked, None where one is not.
    """

    name = "neighbor"
    interval_seconds = 60.0

    def __init__(
        self,
        rails: Callable[[], tuple[Rail, ...]],
        *,
        ways: Callable[[], tuple[Plan | None, Ears | None]],
    ) -> None:
        self._rails = rails
        self._ways = ways
        self._unavailable = ""

    def collect(self) -> Iterator[Sample | ReadFailure]:
        """Yield the neighbours that are known."""
        rails = self._rails()
        plan, ears = self._ways()
        looks = {
            "topology file": partial(self._look_up, plan),
            "LLDP": partial(self._listen, ears),
        }
        found: dict[int, Neighbor] = {}
        for what, look in looks.items():
            try:
                found |= look([rail for rail in rails if rail.number not in found])
            except SourceError as exc:
                yield ReadFailure(what, str(exc))
        for rail in rails:
            neighbor = found.get(rail.number)
            if neighbor is not None:
                labels = (*rail.labels, neighbor.switch, neighbor.port)
                yield Sample(RAIL_NEIGHBOR_INFO, labels, 1)

    def _look_up(self, file: Plan | None, rails: Sequence[Rail]) -> dict[int, Neighbor]:
        plan = {} if file is None else file.read()
        names = {rail.number: names_of(rail) for rail in rails}
        # What several are called is nobody's name: the ports of an adapter that is gone.
        count = Counter(name for own in names.values() for name in own)
        found: dict[int, Neighbor] = {}
        for number, own in names.items():
            known = [plan[name] for name in own if name in plan and count[name] == 1]
            if known:
                found[number] = known[0]
        return found

    def _listen(self, ears: Ears | None, rails: Sequence[Rail]) -> dict[int, Neighbor]:
        numbers = {name: r.number for r in rails if (name := interface_of(r)) is not None}
        if ears is None or not numbers:
            return {}
        try:
            heard = ears.read(numbers.keys())
        except LldpUnavailableError as exc:
            if str(exc) != self._unavailable:
                level = logging.INFO if exc.is_refusal else logging.DEBUG
                log.log(level, "no neighbours by LLDP: %s", exc)
            self._unavailable = str(exc)
            return {}
        self._unavailable = ""
        return {numbers[name]: heard[name] for name in heard.keys() & numbers.keys()}


def names_of(rail: Rail) -> tuple[str, ...]:
    """Return the names of a rail in a plan: RDMA device, network device, PCI address.

    The second port of an RDMA device is `DEVICE/2`, that of a PCI function `ADDRESS/1`.
    """
    number = 1 if rail.rdma is None else rail.rdma.number
    address = rail.pci_address or ""
    names = [rail.device, f"{rail.device}/1", rail.netdev, address]
    if number > 1:
        names = [f"{rail.device}/{number}", rail.netdev, f"{address}/{number - 1}"]
    return tuple(dict.fromkeys(names))


def interface_of(rail: Rail) -> str | None:
    """Return the network device on which LLDP would be heard, None if there is none.

    Of a bond that is the member, and of a rail known by its RDMA port only what that names.
    """
    if rail.ifindex is not None:
        return rail.netdev
    return None if rail.rdma is None else rail.rdma.netdev
