# SPDX-License-Identifier: Apache-2.0
"""The errors of all sources: what the kernel or a driver should have said and did not."""

from __future__ import annotations


class SourceError(RuntimeError):
    """A reading that should have been there could not be taken; the message says which and why."""


class NotPermittedError(SourceError):
    """The kernel keeps it and does not tell this user; the message says what."""
