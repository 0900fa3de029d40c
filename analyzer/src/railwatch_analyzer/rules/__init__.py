# SPDX-License-Identifier: Apache-2.0
"""Files of Prometheus rules, held against the catalogue."""
