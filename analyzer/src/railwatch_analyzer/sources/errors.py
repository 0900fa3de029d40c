# SPDX-License-Identifier: Apache-2.0
"""What a source says when it has no frame to give."""


class SourceError(Exception):
    """A source that cannot be read; the message is one line that names it and the reason."""
