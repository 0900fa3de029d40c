# SPDX-License-Identifier: Apache-2.0
"""What this node lets the agent read, what not, why, and what would change it."""
