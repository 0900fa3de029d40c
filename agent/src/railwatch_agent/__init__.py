# SPDX-License-Identifier: Apache-2.0
"""The agent of a node: samples its rails and exposes what it learned to Prometheus."""

import os

# numpy's linear algebra starts a thread with its own buffers for every core when it is imported,
# 200 of them on a large node. The agent multiplies no matrices. Here, because it must come first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
