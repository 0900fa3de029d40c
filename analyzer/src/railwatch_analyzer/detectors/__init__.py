# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a link: rules over its state, an anomaly detector over its residuals."""
