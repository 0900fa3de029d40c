# SPDX-License-Identifier: Apache-2.0
"""One communication phase of many steps at once, tick by tick; every counter is read off its state.

A byte's way: its ring must have it (the chunk before has arrived from the neighbour), the NIC
sends it, an uplink may have to be shared, the switch port queues it for the receiver's NIC, and
the receiver's host takes it. A queue that is full stops who feeds it, and with one flow of a NIC
all of its flows (PFC; on InfiniBand the same for want of credits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from railwatch_analyzer.simulation.fabric import dcqcn
from railwatch_analyzer.simulation.fabric.sharing import max_min
from railwatch_analyzer.simulation.fabric.trail import Signal, Trail
from railwatch_analyzer.simulation.fabric.uplinks import Uplinks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from railwatch_analyzer.simulation.fabric.conditions import Conditions
    from railwatch_analyzer.simulation.fabric.trail import Demand
    from railwatch_analyzer.simulation.fabric.wiring import Wiring

TICK_SECONDS = 0.0005
# Counters are noted every so many ticks: a quarter of a fast sample.
NOTED_TICKS = 10
# Bytes in a switch queue and in a NIC's buffer at which the feeding port is stopped.
SWITCH_XOFF_BYTES = 2e6
HOST_XOFF_BYTES = 1e6
# Rings of chunks shorter than this are a steady stream: a chunk would end within a tick.
_STREAM_TICKS = 20
# A neighbour's buffers hold so many chunks; nobody runs further ahead of who it sends to.
_SLOTS = 8
# A sender whose bytes vanish tries again after about this long.
_TIMEOUT_SECONDS = 0.1
# For a packet that is lost so many are sent twice, and so many overtake it.
_RESENT_FOR_LOST = 4.0
_OVERTAKE_LOST = 3.0
# A rail moves when it moves more than this share of line rate.
_MOVING_SHARE = 0.05
# What stands still for so long, with nothing to come, will not end at all.
_MOST_SECONDS = 3600.0
# Bytes by which rounding may keep a flow from being complete.
_DUST_BYTES = 4.0


@dataclass(frozen=True, slots=True)
class _Held:
    """Conditions as a tick needs them: by flow, and bytes in a tick instead of a second."""

    now: Conditions
    send: NDArray[np.float64]
    port: NDArray[np.float64]
    host: NDArray[np.float64]
    slow_hosts: bool
    cut: NDArray[np.bool_]
    lossy: bool
    loss: NDArray[np.float64]
    useful: NDArray[np.float64]


class Burst:
    """The state of the network while a batch of steps communicates."""

    def __init__(self, wiring: Wiring, demand: Demand, *, line_rate: float, marks: bool) -> None:
        """Take a network at rest; *marks* is whether switches mark packets and senders heed it."""
        shape, links = demand.feed.shape, (demand.feed.shape[0], wiring.links)
        self._wiring, self._demand, self._marks = wiring, demand, marks
        self._tick_bytes = line_rate * TICK_SECONDS
        self._origin = np.floor(demand.begin.min(axis=1) / TICK_SECONDS) * TICK_SECONDS
        self._begin = demand.begin - self._origin[:, None]
        self._full = demand.full - self._origin[:, None]
        self._wakes = np.unique(np.concatenate((self._begin, self._full)))
        self._progress = np.zeros(shape)
        self._queue = np.zeros(shape)
        self._buffer = np.zeros(shape)
        self._senders = dcqcn.senders(shape, line_rate)
        self._uplinks = Uplinks(wiring, demand, line_rate) if wiring.uplinks.size else None
        self._counted = np.zeros((len(Signal), *links))
        self._moving = np.zeros((shape[0], wiring.nodes))
        self._end = np.full(shape[0], np.inf)
        self._streams = demand.chunk_bytes < _STREAM_TICKS * self._tick_bytes
        self._chunk = max(demand.chunk_bytes, 2.0 * self._tick_bytes)

    def run(self, schedule: Sequence[tuple[float, Conditions]]) -> Trail:
        """Return what happens under a *schedule*: conditions, and from when they hold.

        Seconds since the steps began; more than one entry makes sense for a batch of one only.
        """
        starts = [at - float(self._origin[0]) for at, _ in schedule[1:]]
        held, place, now, ticks = self._held(schedule[0][1]), 0, 0.0, 0
        notes = [self._note(now)]
        while np.isinf(self._end).any() and now < _MOST_SECONDS:
            while place < len(starts) and now >= starts[place]:
                place += 1
                held = self._held(schedule[place][1])
            moved = self._tick(held, now, ticks)
            ticks += 1
            now = ticks * TICK_SECONDS
            if not moved:
                notes.append(self._note(now))
                next_start = starts[place] if place < len(starts) else np.inf
                until = self._wait(held, now, next_start)
                if until <= now:
                    continue
                now, ticks = until, round(until / TICK_SECONDS)
            elif ticks % NOTED_TICKS and np.isinf(self._end).any():
                continue
            notes.append(self._note(now))
        times, counted, moving = (np.array(noted) for noted in zip(*notes, strict=True))
        return Trail(self._origin, times, counted, moving, self._end)

    def _note(self, now: float) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        return now, self._counted.copy(), self._moving.copy()

    def _held(self, now: Conditions) -> _Held:
        wiring = self._wiring
        sent_loss = np.tile(now.sent_loss, wiring.rings)
        loss = 1.0 - (1.0 - sent_loss) * (1.0 - now.received_loss[wiring.receiver])
        return _Held(
            now=now,
            send=now.send * TICK_SECONDS,
            port=now.port * TICK_SECONDS,
            host=now.host * TICK_SECONDS,
            slow_hosts=bool((now.host < self._senders.line_rate).any()),
            cut=~(np.tile(now.up, wiring.rings) & now.up[wiring.receiver]),
            lossy=bool(loss.any()),
            loss=loss,
            useful=(1.0 - loss) / (1.0 + _RESENT_FOR_LOST * loss),
        )

    def _tick(self, held: _Held, now: float, ticks: int) -> bool:
        """Let one tick pass; return whether a byte moved."""
        wiring = self._wiring
        offered = self._offered(held, now)
        leaving = self._shared_by_nic(held, offered)
        able, port = self._ports(held, ticks)
        kept = leaving * (1.0 - held.loss)
        passing = kept
        if self._uplinks is not None:
            passing = self._uplinks.forward(held.now, kept, now, TICK_SECONDS)
        room = SWITCH_XOFF_BYTES + port - wiring.received(self._queue)
        wanted = wiring.received(passing)
        let = wiring.of_receivers(np.minimum(room / np.maximum(wanted, 1.0), 1.0))
        stopped = let
        if self._uplinks is not None:
            stopped = self._uplinks.room(kept, passing * let, let)
        going = stopped if wiring.rings == 1 else wiring.by_ring(stopped).min(axis=1)
        sent = leaving * wiring.of_senders(going)
        entering = sent * (1.0 - held.loss)
        if self._uplinks is not None:
            entering = self._uplinks.pass_on(entering, passing * let)
        delivered = self._serve(entering, port)
        self._count_stops(offered, leaving, going)
        if held.slow_hosts:
            self._count_pausing(able, port)
        self._count_bytes(held, sent, delivered)
        if self._marks:
            self._notify(delivered)
        arrived = self._take(held, delivered)
        return self._move(sent, arrived, now)

    def _offered(self, held: _Held, now: float) -> NDArray[np.float64]:
        """Bytes that each flow could put on the wire in this tick, if its NIC were its own."""
        wiring, demand = self._wiring, self._demand
        inside = (self._queue + self._buffer) * (held.useful / (1.0 - held.loss))
        if self._uplinks is not None:
            inside += self._uplinks.queue * (held.useful / (1.0 - held.loss))
        received = (self._progress - inside).take(wiring.before, axis=1)
        if not self._streams:
            received = np.floor(received / self._chunk + 1e-6) * self._chunk
        may = np.minimum(received + self._chunk, demand.flow_bytes)
        ahead = self._progress.take(wiring.after, axis=1) + _SLOTS * self._chunk
        np.minimum(may, ahead, out=may)
        if now < self._wakes[-1] + TICK_SECONDS:
            np.minimum(may, self._ready(now), out=may)
        rate = np.minimum(self._senders.rate, demand.feed) * TICK_SECONDS
        wire = np.minimum((may - self._progress) / held.useful, rate)
        return np.maximum(wire, 0.0)

    def _ready(self, now: float) -> NDArray[np.float64]:
        """Bytes of each flow that both its ends have computed by now."""
        last = (now - self._begin) / np.maximum(self._full - self._begin, TICK_SECONDS)
        ready = np.where(now >= self._full, 1.0, np.clip(last, 0.0, 1.0)) * self._demand.flow_bytes
        own = self._wiring.of_senders(ready)
        return np.minimum(own, self._wiring.of_receivers(ready))

    def _shared_by_nic(self, held: _Held, offered: NDArray[np.float64]) -> NDArray[np.float64]:
        wiring = self._wiring
        if wiring.rings == 1:
            leaving = np.minimum(offered, held.send)
        else:
            flows_last = np.moveaxis(wiring.by_ring(offered), 1, -1)
            shared = max_min(flows_last, np.broadcast_to(held.send, flows_last.shape[:-1]))
            leaving = np.moveaxis(shared, -1, 1).reshape(offered.shape)
        leaving[:, held.cut] = 0.0
        return leaving

    def _ports(self, held: _Held, ticks: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bytes that each switch port can pass in this tick, and those that its NIC lets it."""
        port = held.port * (1.0 - held.now.storm)
        if self._demand.gusts is not None:
            port = port * (1.0 - self._demand.gusts[:, ticks % self._demand.gusts.shape[1]])
        else:
            port = np.broadcast_to(port, self._counted.shape[1:])
        if not held.slow_hosts:
            return port, port
        room = HOST_XOFF_BYTES + held.host - self._wiring.received(self._buffer)
        return port, np.minimum(port, np.maximum(room, 0.0))

    def _serve(
        self, entering: NDArray[np.float64], port: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Queue what enters, and return what each flow's port passes on to the NIC."""
        self._queue += entering
        waiting = self._wiring.received(self._queue)
        share = np.minimum(port / np.maximum(waiting, 1.0), 1.0)
        delivered = self._queue * self._wiring.of_receivers(share)
        self._queue -= delivered
        return delivered

    def _take(self, held: _Held, delivered: NDArray[np.float64]) -> NDArray[np.float64]:
        """Let the hosts take what they can of what their NICs hold; return it."""
        if not held.slow_hosts and not self._buffer.any():
            return delivered
        self._buffer += delivered
        holding = self._wiring.received(self._buffer)
        share = np.minimum(held.host / np.maximum(holding, 1.0), 1.0)
        taken = self._buffer * self._wiring.of_receivers(share)
        self._buffer -= taken
        return taken

    def _count_stops(
        self,
        offered: NDArray[np.float64],
        leaving: NDArray[np.float64],
        going: NDArray[np.float64],
    ) -> None:
        wiring, counted = self._wiring, self._counted
        wants = wiring.sent(leaving)
        held_back = wiring.sent(offered - leaving) > _DUST_BYTES
        counted[Signal.PAUSED] += np.where(wants > 0.0, 1.0 - going, 0.0) * TICK_SECONDS
        counted[Signal.QUEUED] += held_back * TICK_SECONDS
        stuck = held_back & (wants <= 0.0)
        counted[Signal.TIMEOUT] += stuck * (TICK_SECONDS / _TIMEOUT_SECONDS)

    def _count_pausing(self, able: NDArray[np.float64], let: NDArray[np.float64]) -> None:
        """Count the time for which NICs stop their ports; a storm is not the job's, nor here."""
        waits = self._wiring.received(self._queue) > _DUST_BYTES
        stopped = np.where(waits, 1.0 - let / np.maximum(able, 1.0), 0.0)
        self._counted[Signal.PAUSING] += stopped * TICK_SECONDS

    def _count_bytes(
        self, held: _Held, sent: NDArray[np.float64], delivered: NDArray[np.float64]
    ) -> None:
        wiring, counted = self._wiring, self._counted
        self._progress += sent * held.useful
        counted[Signal.SENT] += wiring.sent(sent)
        counted[Signal.RECEIVED] += wiring.received(delivered)
        if held.lossy:
            lost = sent * held.loss
            packets = lost / dcqcn.PACKET_BYTES
            counted[Signal.LOST] += wiring.sent(lost)
            counted[Signal.RETRANSMIT] += wiring.sent(packets)
            overtaking = _OVERTAKE_LOST * wiring.received(packets)
            counted[Signal.OUT_OF_SEQUENCE] += overtaking

    def _notify(self, delivered: NDArray[np.float64]) -> None:
        """Mark what passed full queues, and let its senders answer."""
        wiring, counted = self._wiring, self._counted
        waiting = wiring.received(self._queue)
        share = wiring.of_receivers(dcqcn.marked_share(waiting))
        if self._uplinks is not None:
            share = np.maximum(share, self._uplinks.marked)
        who = np.flatnonzero(share)
        if not who.size:
            dcqcn.recover(self._senders, TICK_SECONDS)
            return
        passed, part = delivered.take(who), share.take(who)
        told = dcqcn.notifications(part, passed, TICK_SECONDS)
        dcqcn.react(self._senders, who, told, passed / TICK_SECONDS, TICK_SECONDS)
        marked, noted = np.zeros_like(share), np.zeros_like(share)
        marked.put(who, passed * part / dcqcn.PACKET_BYTES)
        noted.put(who, told)
        counted[Signal.MARKED] += wiring.received(marked)
        counted[Signal.CNP_SENT] += wiring.received(noted)
        counted[Signal.CNP_HANDLED] += wiring.sent(noted)

    def _move(self, sent: NDArray[np.float64], arrived: NDArray[np.float64], now: float) -> bool:
        """Note which nodes moved bytes and which steps are complete; return whether any moved."""
        wiring = self._wiring
        most = np.maximum(wiring.sent(sent), wiring.received(arrived))
        moving = most.reshape(-1, wiring.rails, wiring.nodes).max(axis=1)
        self._moving[moving > _MOVING_SHARE * self._tick_bytes] += TICK_SECONDS
        inside = self._queue.sum(axis=1) + self._buffer.sum(axis=1)
        if self._uplinks is not None:
            inside += self._uplinks.queue.sum(axis=1)
        complete = self._progress.min(axis=1) >= self._demand.flow_bytes - _DUST_BYTES
        done = complete & (inside < _DUST_BYTES * wiring.flows) & np.isinf(self._end)
        self._end[done] = self._origin[done] + now + TICK_SECONDS
        return bool(moving.max() > 0.0)

    def _wait(self, held: _Held, now: float, next_start: float) -> float:
        """Return when something may move again; those that cannot send meanwhile try and fail."""
        # What became ready since the last tick began has not been seen by any yet.
        later = self._wakes[self._wakes > now - TICK_SECONDS]
        until = min(next_start, float(later[0]) if later.size else np.inf, _MOST_SECONDS + now)
        # On the grid of ticks, so that the steps of a batch do not change each other.
        until = max(now, np.ceil(until / TICK_SECONDS - 1e-6) * TICK_SECONDS)
        failing = self._wiring.sent(self._offered(held, now) * held.cut)
        failing = (failing > _DUST_BYTES) * ((until - now) / _TIMEOUT_SECONDS)
        self._counted[Signal.TIMEOUT] += np.maximum(failing, 0.0)
        return float(until)
