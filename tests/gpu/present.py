"""Exits with 0 if there is an NVIDIA driver to test."""

import sys
from pathlib import Path

from railwatch_agent.sources.nvidia import NvidiaMachine

sys.exit(not NvidiaMachine(Path("/sys"), Path("/proc")).has_driver())
