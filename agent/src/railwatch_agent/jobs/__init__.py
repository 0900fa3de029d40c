# SPDX-License-Identifier: Apache-2.0
"""Which jobs are on the node, and what of it is whose."""
