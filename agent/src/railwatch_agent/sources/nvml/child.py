# SPDX-License-Identifier: Apache-2.0
"""The process that asks NVML, and does nothing else; `process` starts it and looks after it.

All GPUs are sampled many times a second. The slow round is spread over the fast ones, a GPU at a
time, so that a slow driver delays no more than one sample. What was sampled goes to the parent
about once a second, just before it looks.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import math
import mmap
import os
import signal
import time
from array import array
from typing import TYPE_CHECKING, Any

import pynvml

from railwatch_agent.cadence import next_deadline
from railwatch_agent.sources.nvml import wire
from railwatch_agent.sources.nvml.device import Device
from railwatch_agent.sources.nvml.driver import XidWatch, list_gpus, start
from railwatch_agent.sources.nvml.faults import DriverGoneError
from railwatch_agent.sources.nvml.interview import LostError
from railwatch_agent.sources.nvml.quantities import State
from railwatch_agent.sources.nvml.signals import GpmQuestion

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
# All of it may take this share of a core; a driver that needs more is asked less often.
_LARGEST_SHARE = 0.02
_LARGEST_STRIDE = 16
_LEAST_LOOK_SECONDS = 0.5
# The slow round is over this long before the parent looks, on the grid of its interval.
_LEAD_SECONDS = 1.0


class ParentGoneError(Exception):
    """Nobody listens any more."""


class Line:
    """The way to the parent."""

    def __init__(self, socket: int, page: int) -> None:
        self._socket = socket
        # A parent that does not listen for long costs messages, not samples.
        os.set_blocking(socket, False)
        self._parent = os.getppid()
        self._page = memoryview(mmap.mmap(page, wire.PAGE_BYTES)).cast("q")

    def enter(self, place: int) -> None:
        """Say that the driver is about to be asked about *place*."""
        page = self._page
        page[wire.PLACE] = place
        page[wire.STEP] += 1

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a message; raises ParentGoneError."""
        try:
            os.write(self._socket, kind + body)
        except BlockingIOError:
            return
        except OSError as error:
            raise ParentGoneError from error

    def say(self, kind: bytes, facts: object) -> None:
        """Send facts."""
        self.send(kind, json.dumps(facts).encode())

    def check_parent(self) -> None:
        """Raise ParentGoneError if the parent has ended."""
        if os.getppid() != self._parent:
            raise ParentGoneError


class Budget:
    """Holds the share of a core that is used below a limit, by sampling less often.

    `stride` is how many intervals lie between two samples.
    """

    def __init__(self) -> None:
        self.stride = 1
        self._at = time.monotonic()
        self._used = time.process_time()

    def look(self, now: float) -> None:
        """Compare what was used since the last look; call it about once a second."""
        used = time.process_time()
        share = (used - self._used) / max(now - self._at, _LEAST_LOOK_SECONDS)
        self._at, self._used = now, used
        if share > _LARGEST_SHARE:
            self.stride = min(2 * self.stride, _LARGEST_STRIDE)
        elif share < _LARGEST_SHARE / 3:
            self.stride = max(self.stride // 2, 1)


class Rounds:
    """The fast rounds, and within them the slow one."""

    def __init__(self, line: Line, task: dict[str, Any]) -> None:
        self._line = line
        self._fast: float = task["fast_seconds"]
        self._slow: float = task["slow_seconds"]
        self._gpus = [(number, address, out) for number, address, out in task["gpus"]]
        self._devices: list[Device] = []
        self._waiting: list[Device] = []
        self._samples = array("d")
        self._budget = Budget()
        self._lead = min(self._slow / 2, _LEAD_SECONDS)
        self._xids: XidWatch | None = None
        self._flush_at = self._slow_at = 0.0

    def open(self) -> None:
        """Find the GPUs and say which there are."""
        line, question = self._line, GpmQuestion()
        line.enter(wire.DRIVER)
        version = start()
        states = []
        for listed in list_gpus(self._gpus, line.enter):
            state = listed.state
            if state is State.PRESENT:
                try:
                    device = Device(listed, question, self._fast, self._samples)
                except LostError:
                    state = State.LOST
                else:
                    self._devices.append(device)
            states.append((listed.number, listed.address, state))
        self._watch_xids()
        line.say(wire.HELLO, {"driver_version": version, "gpus": states})

    def run(self) -> None:
        """Sample until there is nothing left to ask."""
        line, monotonic = self._line, time.monotonic
        self._waiting = list(self._devices)
        now = monotonic()
        deadline = now - now % self._fast
        while self._devices:
            line.enter(wire.IDLE)
            now = monotonic()
            deadline = next_deadline(deadline, now, self._fast * self._budget.stride)
            time.sleep(deadline - now)
            self._sample()
            self._look_closer(monotonic())
            if deadline >= self._flush_at:
                self._flush(deadline)

    def _watch_xids(self) -> None:
        """Have Xid errors reported; a GPU or a driver that cannot has none to count."""
        with contextlib.suppress(pynvml.NVMLError, AttributeError):
            if self._xids is not None:
                self._xids.close()
            self._xids = XidWatch()
            for device in self._devices:
                self._line.enter(device.number)
                device.watches_xid = self._xids.add(device.number, device.handle)

    def _sample(self) -> None:
        enter, monotonic = self._line.enter, time.monotonic
        for device in self._devices:
            enter(device.number)
            device.sample(monotonic())

    def _look_closer(self, now: float) -> None:
        """Ask everything of the next GPUs in line, or begin the line anew."""
        if not self._waiting:
            if now < self._slow_at:
                return
            self._waiting = list(self._devices)
        if self._slow_at <= now:
            # On the parent's grid, and early enough for all to be done by then.
            self._slow_at = math.floor(now / self._slow + 1) * self._slow - self._lead
            if self._slow_at <= now:
                self._slow_at += self._slow
        at_once = math.ceil(len(self._devices) * self._fast / (0.8 * self._lead))
        for device in self._waiting[:at_once]:
            self._line.enter(device.number)
            facts = device.report(now)
            facts["processor_seconds"] = time.process_time()
            self._line.say(wire.REPORT, facts)
        del self._waiting[:at_once]
        # A GPU that is lost has said so; a later child finds out whether it is back.
        self._devices = [device for device in self._devices if not device.is_lost]

    def _flush(self, now: float) -> None:
        line = self._line
        line.check_parent()
        self._budget.look(now)
        # The last round before a full second; half a round is room for one that is late.
        self._flush_at = math.floor(now + 1.5 * self._fast) + 1 - 1.5 * self._fast
        for number, xid in self._new_xids():
            line.say(wire.XID, {"number": number, "xid": xid})
        if self._samples:
            line.send(wire.FAST, self._samples.tobytes())
            del self._samples[:]

    def _new_xids(self) -> Iterator[tuple[int, int]]:
        if self._xids is None:
            return
        self._line.enter(wire.DRIVER)
        yield from self._xids.poll()
        if self._xids.is_broken:
            # One that is lost ends the wait for all: begin anew with those that can be watched.
            self._watch_xids()


def _settle(parent: int) -> None:
    """Have the kernel end this process with its parent's thread, even within a call."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, b"railwatch-nvml", 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have gone before that was said.
    if os.getppid() != parent:
        raise ParentGoneError


def main(task: dict[str, Any]) -> None:
    """Ask NVML until the parent goes; *task* is as `process` gives it."""
    with contextlib.suppress(ParentGoneError):
        _settle(task["parent"])
        line = Line(task["socket"], task["page"])
        rounds = Rounds(line, task)
        try:
            rounds.open()
            # What is there by now stays.
            gc.collect()
            gc.freeze()
            rounds.run()
        except (DriverGoneError, pynvml.NVMLError) as error:
            line.say(wire.GONE, {"reason": str(error)})
