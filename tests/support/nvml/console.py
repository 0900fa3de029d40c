"""A program on the stage that evaluates what it is asked, with the names of the real pynvml."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pynvml

from support.nvml.stage import Stage

_ANSWER_SECONDS = 20
_PROGRAM = """
import json, sys, time
import pynvml
names = dict(vars(pynvml), pynvml=pynvml, time=time)
names["gpu"] = lambda index=0: pynvml.nvmlDeviceGetHandleByIndex(index)
for line in sys.stdin:
    try:
        answer = {"value": eval(line, names)}
    except pynvml.NVMLError as error:
        answer = {"error": error.value}
    except Exception as error:
        answer = {"failure": repr(error)}
    print(json.dumps(answer, default=str), flush=True)
"""


class Console:
    """A child process with pynvml, initialised unless told otherwise; `gpu(i)` is a handle."""

    def __init__(self, stage: Stage, library: Path | None = None, *, init: bool = True) -> None:
        self._environment = {**os.environ, **stage.environment(library)}
        self._init = init

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        if self._init:
            self.ask("nvmlInit()")
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, expression: str) -> Any:
        """The value of *expression*, through JSON; raises the NVMLError that it raised."""
        self.begin(expression)
        return self.answer()

    def begin(self, expression: str) -> None:
        """Ask without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expression}\n".encode())
        self.process.stdin.flush()

    def has_answer(self, seconds: float = 0.0) -> bool:
        """Whether an answer is there, or comes in this time."""
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def answer(self) -> Any:
        """What was asked last."""
        assert self.process.stdout is not None
        assert self.has_answer(_ANSWER_SECONDS), "no answer"
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise pynvml.NVMLError(answer["error"])
        assert "failure" not in answer, answer
        return answer["value"]
