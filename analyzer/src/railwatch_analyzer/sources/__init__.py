# SPDX-License-Identifier: Apache-2.0
"""Where frames come from: agents scraped directly, a Prometheus, a recorded trace."""
