# SPDX-License-Identifier: Apache-2.0
"""One door to the kernel or a driver each; the only code that opens their files and sockets."""
