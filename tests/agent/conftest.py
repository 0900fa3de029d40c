"""Properties draw the same examples in every run: what fails in CI fails at hand too."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from agent.gpu_node import GpuNode, MakeNode
from support.nvml import Profile, Stage

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture
def gpu_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeNode]:
    """What makes a node with GPUs; it ends with the test."""
    with ExitStack() as stack:

        def make(*profiles: Profile, **options: object) -> GpuNode:
            stage = Stage(tmp_path / "nvml", profiles)
            # In this order a child that hangs is let go before its end is waited for.
            node = stack.enter_context(GpuNode(stage, monkeypatch, **options))  # type: ignore[arg-type]
            stack.enter_context(stage)
            return node

        yield make
