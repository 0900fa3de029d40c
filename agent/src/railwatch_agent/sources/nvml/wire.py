# SPDX-License-Identifier: Apache-2.0
"""How the child talks to its parent: messages over a SOCK_SEQPACKET pair, and a page they share.

The socket keeps messages apart. The first byte is the kind: fast samples follow as float64 of this
machine, four a sample; everything else is JSON. In the page the child says where it is, which costs
no system call: a number that grows with each step, and the GPU that the step is about.
"""

from __future__ import annotations

# Kinds of messages.
HELLO = b"H"
REPORT = b"R"
FAST = b"F"
XID = b"X"
GONE = b"G"

# Where the child is, if not with a GPU: between two rounds, or within the driver as a whole.
IDLE = -1
DRIVER = -2

PAGE_BYTES = 4096
STEP, PLACE = 0, 1

# A fast sample: number of the GPU, time, activity, tensor activity.
SAMPLE_VALUES = 4
