"""The keeper of the process that asks NVML, on a clock that a test moves."""

import json
import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import FakeClock
from agent.gpu_node import Machine
from railwatch_agent.gpus.keeper import Keeper
from railwatch_agent.gpus.roster import Roster
from railwatch_agent.gpus.tape import GpuTape
from railwatch_agent.settings import GpuSettings
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.nvml import wire
from railwatch_agent.sources.nvml.process import Task
from railwatch_agent.sources.nvml.reports import read_message, read_samples

_DEADLINE = 5.0


@dataclass
class PaperChild:
    """Says what it is told to, stands where it is put, and ends or does not."""

    task: Task
    said: list[bytes] = field(default_factory=list)
    step: int = 0
    place: int = wire.IDLE
    kills: int = 0
    obeys: bool = True
    is_over: bool = False
    died_of: str | None = None
    is_closed: bool = False

    def messages(self) -> list[bytes]:
        """Return what it has said."""
        said, self.said = self.said, []
        return said

    def position(self) -> tuple[int, int]:
        """Return where it stands."""
        return self.step, self.place

    def kill(self) -> None:
        """End it, if it obeys."""
        self.kills += 1
        if self.obeys:
            self.is_over, self.died_of = True, "signal 9"

    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.is_over

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    def say(self, kind: bytes, **facts: object) -> None:
        """Say something."""
        self.said.append(kind + json.dumps(facts).encode())


@dataclass
class Office:
    """A keeper, its clock, its machine and its children."""

    clock: FakeClock = field(default_factory=FakeClock)
    machine: Machine = field(default_factory=lambda: Machine(["0000:01:00.0", "0000:02:00.0"]))
    children: list[PaperChild] = field(default_factory=list)
    error: str | None = None
    tape: GpuTape = field(default_factory=lambda: GpuTape(10))

    def __post_init__(self) -> None:
        self.keeper = Keeper(
            spawn=self._spawn,
            machine=self.machine,
            tape=self.tape,
            settings=GpuSettings(),
            clock=self.clock,
        )

    @property
    def child(self) -> PaperChild:
        """The newest child."""
        return self.children[-1]

    def _spawn(self, task: Task) -> PaperChild:
        if self.error is not None:
            raise SourceError(self.error)
        self.children.append(PaperChild(task))
        return self.child

    def hello(self, *states: str) -> None:
        """Have the newest child say which GPUs there are, all of the task by default."""
        given = states or ("present",) * len(self.child.task.gpus)
        gpus = [
            (number, address, "left_out" if is_left_out else state)
            for (number, address, is_left_out), state in zip(
                self.child.task.gpus, given, strict=True
            )
        ]
        self.child.say(wire.HELLO, driver_version="1", gpus=gpus)

    def report(self, number: int, *, is_lost: bool = False) -> None:
        """Have the newest child report a GPU."""
        self.child.say(
            wire.REPORT,
            number=number, address="", time=self.clock.now, is_lost=is_lost, watches_xid=True,
            uuid="", name="", values={"power_milliwatts": 1}, processor_seconds=1.5,
        )  # fmt: skip

    def pass_time(self, seconds: float, *, works: bool = True) -> None:
        """Tend each second; the newest child goes on, if it *works*."""
        for _ in range(math.ceil(seconds)):
            self.clock.advance(1.0)
            if works and self.children:
                self.child.step += 1
            self.keeper.tend()

    def wait_for_child(self) -> None:
        """Let time pass until there is another child; those that there are go on."""
        count = len(self.children)
        while len(self.children) == count:
            for child in self.children:
                child.step += 1
            self.pass_time(1)

    def hang(self, place: int) -> None:
        """Have the newest child hang until it is ended."""
        self.child.place = place
        before = len(self.children)
        for _ in range(100):
            self.pass_time(1, works=False)
            if self.child.kills or len(self.children) > before:
                return
        raise AssertionError("it was never ended")


@pytest.fixture(name="office")
def _office() -> Office:
    office = Office()
    office.keeper.tend()
    office.hello()
    office.pass_time(1)
    return office


def _asked(child: PaperChild) -> list[int]:
    return [number for number, _, is_left_out in child.task.gpus if not is_left_out]


def test_gpus_are_numbered_in_pci_order(office: Office) -> None:
    assert office.child.task.gpus == [(0, "0000:01:00.0", False), (1, "0000:02:00.0", False)]


def test_a_child_that_goes_on_is_left_alone(office: Office) -> None:
    office.pass_time(3600)

    assert (len(office.children), office.child.kills) == (1, 0)


def test_a_rest_ends_the_child_and_loses_no_processor_time(office: Office) -> None:
    office.report(0)
    office.pass_time(6)
    before = office.keeper.view.processor_seconds
    first = office.child
    office.keeper.rest()
    office.keeper.rest()
    first.is_over = True
    office.pass_time(6)

    assert (first.kills, first.is_closed, len(office.children)) == (1, True, 2)
    assert office.keeper.view.processor_seconds == before == 1.5


def test_a_child_that_sleeps_may_take_longer_than_one_that_asks(office: Office) -> None:
    office.child.place = wire.IDLE
    office.pass_time(25, works=False)
    asleep = office.child.kills
    office.pass_time(10, works=False)

    assert (asleep, office.children[0].kills) == (0, 1)


def test_a_driver_that_starts_may_take_longer() -> None:
    """Without persistence mode it initialises a GPU when it is asked about first."""
    office = Office()
    office.keeper.tend()
    office.child.place = 1
    office.pass_time(4 * _DEADLINE, works=False)
    starting = office.child.kills
    office.pass_time(2, works=False)

    assert (starting, office.children[0].kills) == (0, 1)


def test_a_gpu_that_hangs_is_left_out_and_tried_again_ever_later(office: Office) -> None:
    """By a child that asks no other; the one at work is left alone."""
    office.hang(1)
    office.pass_time(1)
    office.hello()
    worker, began = office.child, office.clock.now
    waits = []
    for _ in range(9):
        office.wait_for_child()
        waits.append(round(office.clock.now - began, -1))
        began = office.clock.now
        trial, trial.place = office.child, 1
        while not trial.kills:
            worker.step += 1
            office.pass_time(1, works=False)
        assert (_asked(worker), _asked(trial), worker.kills) == ([0], [1], 0)

    assert waits == [60, 140, 260, 500, 980, 1940, 3620, 3620, 3620]


def _answer_trial(office: Office) -> None:
    """Wait for a trial of GPU 1, and have it end well; the next child is one with all GPUs."""
    office.wait_for_child()
    office.hello()
    office.report(1)
    office.pass_time(2)
    office.hello()
    office.report(0)
    office.report(1)
    office.pass_time(1)


def test_a_gpu_that_answers_again_is_taken_back(office: Office) -> None:
    office.hang(1)
    office.pass_time(1)
    office.hello()
    _answer_trial(office)

    assert (_asked(office.child), office.keeper.view.stuck) == ([0, 1], 0)
    assert office.keeper.view.gpus[1].report is not None
    assert office.keeper.view.restarts == 1


def test_a_gpu_that_hangs_again_soon_is_left_out_for_longer(office: Office) -> None:
    waits = []
    for _ in range(3):
        office.hang(1)
        office.pass_time(1)
        office.hello()
        began = office.clock.now
        _answer_trial(office)
        waits.append(round(office.clock.now - began, -1))

    assert waits == [60, 120, 240]


def test_a_gpu_that_has_answered_for_long_is_forgiven(office: Office) -> None:
    office.hang(1)
    office.pass_time(1)
    office.hello()
    _answer_trial(office)
    office.pass_time(61)
    office.report(1)
    office.pass_time(1)
    office.hang(1)
    office.pass_time(1)
    office.hello()
    began = office.clock.now
    _answer_trial(office)

    assert office.clock.now - began < 70


def test_a_trial_that_does_not_end_is_left_behind(office: Office) -> None:
    office.hang(1)
    office.pass_time(1)
    office.hello()
    worker = office.child
    office.wait_for_child()
    office.child.place, office.child.obeys = 1, False
    for _ in range(40):
        worker.step += 1
        office.pass_time(1, works=False)

    assert (office.keeper.view.abandoned, office.child.is_closed) == (1, True)
    assert worker.kills == 0
    # Until it ends there is no other.
    for _ in range(1000):
        worker.step += 1
        office.pass_time(1, works=False)
    count = len(office.children)
    office.child.is_over = True
    office.wait_for_child()
    assert (len(office.children), worker.kills) == (count + 1, 0)


def test_the_node_is_answered_for_while_a_child_is_replaced(office: Office) -> None:
    office.report(0)
    office.pass_time(1)
    office.hang(1)
    office.pass_time(2)
    gpus = office.keeper.view.gpus

    assert gpus[0].report is not None
    assert gpus[1].report is None


def test_a_machine_that_slept_ends_no_child(office: Office) -> None:
    office.child.place = 0
    office.pass_time(2, works=False)
    office.clock.advance(3600)
    office.keeper.tend()

    assert office.child.kills == 0


def test_a_child_that_does_not_end_is_left_behind_and_counted(office: Office) -> None:
    office.child.obeys = False
    office.hang(0)
    office.pass_time(7)

    assert (office.keeper.view.abandoned, len(office.children)) == (1, 2)
    assert office.children[0].is_closed
    assert _asked(office.child) == [1]


def test_no_more_than_a_few_are_left_behind(office: Office) -> None:
    for _ in range(3):
        office.child.obeys = False
        office.hang(wire.DRIVER)
        office.pass_time(30)
        if len(office.children) < 4:
            office.hello()
            office.pass_time(1)
    office.pass_time(600)
    full = len(office.children), office.keeper.view.trouble[0][1]
    office.children[0].is_over = True
    office.pass_time(3)

    assert full == (3, "3 processes hang within the driver; no more are begun")
    assert len(office.children) == 4
    assert office.keeper.view.abandoned == 3


def test_a_driver_that_is_gone_is_asked_for_ever_more_seldom() -> None:
    office = Office()
    starts: list[float] = []
    for _ in range(12):
        while len(office.children) == len(starts):
            office.pass_time(1)
        starts.append(office.clock.now)
        office.child.say(wire.GONE, reason="Driver Not Loaded")
        office.child.is_over = True
    waits = [after - before for before, after in pairwise(starts)]

    assert waits[:3] == [2, 3, 5]
    assert waits[-1] == pytest.approx(300, abs=2)
    assert office.keeper.view.trouble == (("NVML", "Driver Not Loaded"),)


def test_a_child_that_has_lasted_makes_a_fault_a_first_one(office: Office) -> None:
    office.pass_time(100)
    office.child.is_over, office.child.died_of = True, "signal 11"
    office.pass_time(3)

    assert len(office.children) == 2


def test_a_child_that_cannot_be_started_is_a_fault(office: Office) -> None:
    office.error = "no memory"
    office.child.is_over, office.child.died_of = True, "exit code 1"
    office.pass_time(5)
    failing = office.keeper.view.trouble
    office.error = None
    office.pass_time(10)
    office.hello()
    office.pass_time(1)

    assert failing == (("NVML", "no memory"),)
    assert office.keeper.view.trouble == ()


def test_nonsense_ends_the_child(office: Office) -> None:
    office.child.said.append(b"R{}")
    office.pass_time(2)

    assert office.children[0].kills == 1
    assert "not to be understood" in office.keeper.view.trouble[0][1]


def test_a_lost_gpu_is_looked_for_ever_more_seldom(office: Office) -> None:
    office.report(0, is_lost=True)
    office.pass_time(1)
    worker, began = office.child, office.clock.now
    waits = []
    for _ in range(5):
        office.wait_for_child()
        waits.append(round(office.clock.now - began, -1))
        began = office.clock.now
        assert _asked(office.child) == [0]
        # It finds that out at once, and has nothing left to ask.
        office.hello("lost", "present")
        office.child.is_over = True
        office.pass_time(1)

    assert waits == [300, 600, 1200, 2400, 3600]
    assert (worker.kills, office.keeper.view.restarts) == (0, 0)


def test_what_was_said_long_ago_is_no_longer_so(office: Office) -> None:
    office.report(0)
    office.report(1)
    office.pass_time(1)
    for _ in range(25):
        office.report(1)
        office.pass_time(1)
    reports = [gpu.report for gpu in office.keeper.view.gpus]
    office.pass_time(25)

    assert (reports[0], reports[1] is not None) == (None, True)
    assert office.keeper.view.gpus == ()


def test_processor_time_of_children_that_ended_is_kept(office: Office) -> None:
    office.report(0)
    office.pass_time(1)
    office.hang(1)
    office.pass_time(1)
    office.hello()
    office.report(0)
    office.pass_time(1)

    assert office.keeper.view.processor_seconds == 3.0


def test_samples_do_not_go_back_in_time(office: Office) -> None:
    """A new child may say again what the one before it has said."""
    for numbers in ((0, 1.0, 0.5, 0.1, 0, 2.0, 0.6, 0.2), (0, 1.5, 9, 9, 0, 3.0, 0.7, 0.3)):
        office.child.said.append(wire.FAST + array("d", numbers).tobytes())
    office.pass_time(1)
    held = office.tape.slice(0, 0.0)

    assert held.times.tolist() == [1.0, 2.0, 3.0]
    assert held.activity.tolist() == [0.5, 0.6, 0.7]
    assert held.tensor_activity.tolist() == [0.1, 0.2, 0.3]


def test_an_address_keeps_its_number() -> None:
    roster = Roster()
    roster.enter(["b", "c"])
    roster.enter(["a", "c"])

    assert roster.task() == [(0, "b", False), (1, "c", False), (2, "a", False)]


@given(data=st.binary(max_size=200))
@pytest.mark.parametrize("read", [read_message, read_samples])
def test_any_message_is_read_or_refused(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except ValueError:
        return


_FACTS = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)


@given(
    kind=st.sampled_from([wire.REPORT, wire.HELLO, wire.XID, wire.GONE]),
    facts=_FACTS
    | st.dictionaries(st.sampled_from(["gpus", "number", "xid", "reason", "values"]), _FACTS),
)
def test_any_facts_are_a_message_or_refused(kind: bytes, facts: object) -> None:
    try:
        read_message(kind + json.dumps(facts).encode())
    except ValueError:
        return


def test_a_tape_keeps_the_newest_blocks() -> None:
    tape = GpuTape(2)
    for start in range(0, 12, 3):
        times = np.arange(start, start + 3, dtype=np.float64)
        tape.write(np.column_stack((times % 2, times, 10 * times, 100 * times)))
    held, newer = tape.slice(0, 0.0), tape.slice(1, 10.0)

    assert held.times.tolist() == [6, 8, 10]
    assert (newer.activity.tolist(), newer.tensor_activity.tolist()) == ([110], [1100])
    assert len(tape.slice(8, 0.0)) == 0
    assert len(GpuTape(2).slice(0, 0.0)) == 0
