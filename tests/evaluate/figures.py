"""Shares in short, and the revision: what the sections on links write."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.interval import wilson

ROOT = Path(__file__).resolve().parents[2]
PLOTS = ROOT / "docs" / "plots"


def share(successes: int, trials: int) -> str:
    """Return a share as text, with its interval in percent."""
    if trials == 0:
        return "-"
    low, high = wilson(successes, trials)
    return f"{100 * successes / trials:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


def revision() -> str:
    """Return the commit that is measured, marked where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
