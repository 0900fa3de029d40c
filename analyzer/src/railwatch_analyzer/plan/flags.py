# SPDX-License-Identifier: Apache-2.0
"""Flags of `plan`. What is wrong is told in one line that begins with the flag.

Values stay text until here: argparse would answer with a page of usage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from railwatch.settings import ConfigError
from railwatch_analyzer.plan.collectives import Algorithm
from railwatch_analyzer.plan.presets import MODELS, PEAK_FLOPS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_SUFFIXES = {"k": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
# Beyond them nothing is meant, and products of a few would no longer be numbers.
_SMALLEST, _LARGEST, _MOST_COUNTED = 1e-30, 1e30, 1e9


@dataclass(frozen=True, slots=True)
class Flag:
    """One of them: its default as a person writes it, and what it says."""

    name: str
    default: str
    text: str
    assumed: bool = False
    """Its default is worth telling: it is a guess about the cluster."""
    zero: bool = False
    """It may be 0."""


FLAGS = (
    Flag("model", "", f"a known model: {', '.join(MODELS)}"),
    Flag("parameters", "", "parameters, such as 7B"),
    Flag("layers", "", "transformer layers"),
    Flag("hidden", "", "hidden size"),
    Flag("vocabulary", "", "tokens known, where parameters are to be counted"),
    Flag("sequence", "", "tokens of a sequence"),
    Flag("experts", "0", "experts of a mixture-of-experts layer", zero=True),
    Flag("top-k", "1", "experts that a token is sent to"),
    Flag("moe-layers", "0", "layers that have experts", zero=True),
    Flag("expert-parameters", "0", "parameters of all experts, of --parameters", zero=True),
    Flag("data-parallel", "", "replicas; what is left of the GPUs by default"),
    Flag("tensor-parallel", "1", "GPUs that share a layer"),
    Flag("pipeline-parallel", "1", "stages"),
    Flag("expert-parallel", "1", "GPUs that share experts, of the replicas"),
    Flag("zero", "0", "stage of ZeRO; 3 is FSDP", zero=True),
    Flag("micro-batch-size", "1", "sequences of a micro-batch"),
    Flag("micro-batches", "1", "micro-batches of a replica and step: gradient accumulation"),
    Flag("gradient-bytes", "2", "of a gradient as it is sent", assumed=True),
    Flag("parameter-bytes", "2", "of a parameter as it is sent", assumed=True),
    Flag("activation-bytes", "2", "of an activation as it is sent", assumed=True),
    Flag("nodes", "1", "nodes"),
    Flag("gpus-per-node", "8", "GPUs of a node"),
    Flag("nics-per-node", "", "rails of a node; one a GPU by default"),
    Flag("line-rate-gbit", "", "line rate of a rail in Gbit/s"),
    Flag("efficiency", "0.8", "share of line rate that collectives reach", assumed=True),
    Flag("latency-seconds", "15e-6", "of a message between nodes", assumed=True, zero=True),
    Flag("algorithm", "ring", f"of collectives: {', '.join(Algorithm)}", assumed=True),
    Flag(
        "nvlink-gbyte", "0", "GB/s that a GPU sends within its node; 0 leaves that out", zero=True
    ),
    Flag("compute-seconds", "", "compute time of a step, where it is known"),
    Flag("gpu", "", f"GPU, for its peak: {', '.join(PEAK_FLOPS)}"),
    Flag("peak-tflops", "", "its peak, where it is another"),
    Flag("mfu", "0.4", "share of the peak that compute alone reaches", assumed=True),
    Flag(
        "overlap",
        "0.5",
        "share of the time in which bytes can be hidden that is used",
        assumed=True,
        zero=True,
    ),
    Flag("measured-bytes-per-step", "", "of a running job: what a rail sends in a step"),
    Flag("step-seconds", "", "of a running job: the length of a step"),
    Flag("exposed-seconds", "0", "of a running job: exposed communication in a step", zero=True),
)


class Given:
    """Flags as they were given."""

    def __init__(self, options: Mapping[str, object]) -> None:
        names = {flag.name: options.get(flag.name.replace("-", "_")) for flag in FLAGS}
        self._given = {name: str(value) for name, value in names.items() if value is not None}
        self._flags = {flag.name: flag for flag in FLAGS}

    def has(self, name: str) -> bool:
        """Whether it was given, or has a default."""
        return bool(self.text(name))

    def is_given(self, name: str) -> bool:
        """Whether it was given."""
        return name in self._given

    def text(self, name: str) -> str:
        """Return it as it was written."""
        return self._given.get(name, self._flags[name].default)

    def real(self, name: str, *, most: float = _LARGEST) -> float:
        """Return a number above 0, or 0 where that flag allows it."""
        text = self.text(name)
        if not text:
            raise ConfigError(f"--{name}: is needed")
        scale = _SUFFIXES.get(text[-1], 1.0)
        try:
            value = float(text[:-1] if text[-1] in _SUFFIXES else text) * scale
        except ValueError as exc:
            raise ConfigError(f"--{name}: must be a number, got {text!r}") from exc
        if math.isnan(value) or 0 < abs(value) < _SMALLEST:
            raise ConfigError(f"--{name}: must be a number of some size, got {text!r}")
        if value < 0 or (value == 0 and not self._flags[name].zero):
            least = "at least 0" if self._flags[name].zero else "above 0"
            raise ConfigError(f"--{name}: must be {least}, got {text!r}")
        if value > most:
            raise ConfigError(f"--{name}: must be at most {most:g}, got {text!r}")
        return value

    def whole(self, name: str) -> int:
        """Return a whole number, of which the same is true."""
        value = self.real(name, most=_MOST_COUNTED)
        if value != int(value):
            raise ConfigError(f"--{name}: must be a whole number, got {self.text(name)!r}")
        return int(value)

    def choice(self, name: str, among: Mapping[str, object]) -> str:
        """Return one of *among*."""
        if self.text(name) not in among:
            known = ", ".join(among)
            raise ConfigError(f"--{name}: must be one of {known}, got {self.text(name)!r}")
        return self.text(name)


def add_flags(command: argparse.ArgumentParser) -> None:
    """Give *command* the flags of `plan`."""
    for flag in FLAGS:
        text = flag.text + (f" (default {flag.default})" if flag.default else "")
        command.add_argument(f"--{flag.name}", metavar="X", help=text)
    command.add_argument(
        "--sequence-parallel", action="store_true", help="tensor parallelism divides sequences too"
    )
    command.add_argument("--json", action="store_true", help="for programs")
