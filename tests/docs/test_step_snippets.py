"""The programs of STEPS.md run, and mark what they say that they mark."""

import re
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from railwatch_agent.hook import SOCKET_VARIABLE
from railwatch_agent.markers.marker import Marker, parse_marker

_PAGE = Path(__file__).parent.parent.parent / "STEPS.md"
_PROGRAMS = re.findall(r"^```python\n(.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
_PYTORCH = "torch.distributed.algorithms.ddp_comm_hooks.default_hooks"
_STEPS = 4


class _Gpu:
    """What stands for PyTorch's events and model: each event is a microsecond later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        gpu = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing
                self.at = float("nan")

            def record(self) -> None:
                gpu.now += 0.001
                self.at = gpu.now

            def synchronize(self) -> None:
                """Nothing to be waited for."""

            def elapsed_time(self, end: "Event") -> float:
                return end.at - self.at

        torch = ModuleType("torch")
        torch.cuda = SimpleNamespace(Event=Event)  # type: ignore[attr-defined] # a stand-in
        hooks = ModuleType(_PYTORCH)
        hooks.allreduce_hook = lambda *_: None  # type: ignore[attr-defined] # a stand-in
        parts = _PYTORCH.split(".")
        for count in range(1, len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[:count]), torch)
        monkeypatch.setitem(sys.modules, _PYTORCH, hooks)

    def register_comm_hook(self, state: object, hook: Callable[[object, object], None]) -> None:
        self._buckets = [
            lambda is_last=is_last: hook(state, SimpleNamespace(is_last=lambda: is_last))
            for is_last in (False, True)
        ]

    def __call__(self, _: object) -> "_Gpu":
        return self

    def backward(self) -> None:
        for reduce in self._buckets:
            reduce()


def _marked(program: str, monkeypatch: pytest.MonkeyPatch, path: Path) -> list[Marker]:
    monkeypatch.setenv(SOCKET_VARIABLE, str(path))
    names = {
        "loader": range(_STEPS),
        "train": lambda _: None,
        "model": _Gpu(monkeypatch),
        "optimizer": SimpleNamespace(step=lambda: None, zero_grad=lambda: None),
        "resumed_at": 0,
    }
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as agent:
        agent.bind(str(path))
        exec(compile(program, _PAGE.name, "exec"), names)
        return [parse_marker(agent.recv(2000)) for _ in range(_STEPS - 1)]


@pytest.mark.parametrize("program", _PROGRAMS)
def test_programs_of_the_page_mark_their_steps(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = _marked(program, monkeypatch, tmp_path / "s")

    assert [marker.step for marker in marked] == list(range(_STEPS - 1))
    if "torch" in program:
        # Of four events the first to the second is compute, and the third to the fourth.
        assert {(marker.compute, marker.exposed) for marker in marked} == {(2e-6, 1e-6)}


def test_the_page_has_a_plain_loop_and_pytorch() -> None:
    assert ["import torch" in program for program in _PROGRAMS] == [False, False, True]
