# SPDX-License-Identifier: Apache-2.0
"""Catalogue and sources brought together: each collector answers with samples or read failures."""
