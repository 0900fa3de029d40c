# SPDX-License-Identifier: Apache-2.0
"""Training steps, found in slices of the tapes: period, boundaries, split. Pure."""
