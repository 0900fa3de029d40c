# SPDX-License-Identifier: Apache-2.0
"""The agent of a node: samples its rails and exposes what it learned to Prometheus.

Nothing happens here: training code that imports `railwatch_agent.hook` comes by.
"""
