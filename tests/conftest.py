"""Tiers of tests: what each needs, and what is left out where that is missing.

Outside CI a tier that the machine does not permit is left out and named at the end; with `CI=true`
nothing may be left out, so what is missing fails the run before the first test.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

# Without it one of scikit-learn's checks of an estimator skips itself; read when scipy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

_TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Tier:
    """Folders of tests and what they need of the machine.

    Tests that are not `alone` may run beside others of their tier; the rest need the machine to
    themselves, as they load it, or measure.
    """

    name: str
    folders: tuple[str, ...]
    programs: tuple[str, ...] = ()
    root: bool = False
    alone: bool = True
    modules: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """What the machine lacks for this tier, or None."""
        lacking = [program for program in self.programs if shutil.which(program) is None]
        if lacking:
            return f"needs {', '.join(lacking)}: make system-deps installs what is missing"
        if self.root and os.geteuid() != 0:
            return "needs root, for namespaces"
        if any(importlib.util.find_spec(module) is None for module in self.modules):
            return f"needs {', '.join(self.modules)}: make .venv/training installs what is missing"
        return None


_STACK = ("prometheus", "prometheus-alertmanager", "promtool", "amtool")
TIERS = (
    Tier(
        "unit",
        ("agent", "analyzer", "contract", "docs"),
        programs=("promtool", "amtool", "systemd-analyze"),
        alone=False,
    ),
    # Named on the command line only: no machine of CI has a GPU.
    Tier("gpu", ("gpu",)),
    Tier("stack", ("e2e",), programs=_STACK),
    Tier("system", ("system",), programs=("mmdebstrap", "systemd-nspawn", "dpkg-deb"), root=True),
    Tier("lab", ("lab",), programs=("ip", "tc", "lldpd", *_STACK), root=True),
    Tier("training", ("training",), programs=("ip", "tc"), root=True, modules=("torch",)),
)

_left_out = pytest.StashKey[dict[str, tuple[str, int]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make test` run what may run side by side, and then what must run alone."""
    parser.addoption(
        "--tiers", choices=("beside", "alone"), help="tiers that may run side by side, or the rest"
    )


def _tier_of(item: pytest.Item) -> Tier:
    folder = item.path.relative_to(_TESTS).parts[0]
    return next(tier for tier in TIERS if folder in tier.folders)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tiers that cannot run here; in CI refuse to."""
    reasons = {tier.name: tier.missing() for tier in TIERS}
    left_out: dict[str, tuple[str, int]] = {}
    wanted = config.getoption("tiers")
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        tier = _tier_of(item)
        if wanted is not None and tier.alone != (wanted == "alone"):
            dropped.append(item)
            continue
        reason = reasons[tier.name]
        if reason is None:
            kept.append(item)
            continue
        dropped.append(item)
        left_out[tier.name] = (reason, left_out.get(tier.name, ("", 0))[1] + 1)
    if left_out and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"with CI=true no tier may be left out: {left_out}")
    config.stash[_left_out] = left_out
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    # Short tiers first: a mistake should show early.
    order = {tier.name: number for number, tier in enumerate(TIERS)}
    items[:] = sorted(kept, key=lambda item: order[_tier_of(item).name])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out and why."""
    left_out: dict[str, tuple[str, int]] = config.stash.get(_left_out, {})
    for name, (reason, count) in left_out.items():
        terminalreporter.write_line(f"left out: {count} tests of tier {name}: {reason}")


def pytest_report_header() -> Sequence[str]:
    """Say which tiers run."""
    return [f"tier {tier.name}: {tier.missing() or 'runs'}" for tier in TIERS]
