# SPDX-License-Identifier: Apache-2.0
"""Keeps numpy to one thread; to be imported before anything that imports it.

numpy's linear algebra starts a thread with its own buffers for every core when it is imported, 200
of them on a large node. The agent multiplies no matrices.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
