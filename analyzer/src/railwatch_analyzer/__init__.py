# SPDX-License-Identifier: Apache-2.0
"""The analyzer: which links are degraded, which jobs wait for the network, and why."""
