# SPDX-License-Identifier: Apache-2.0
"""What agent and analyzer share: the metric catalogue, rates, windows, settings, exposition."""
