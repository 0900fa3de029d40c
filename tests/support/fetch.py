"""Reading a URL: directly, or through a command that enters a network namespace first."""

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence

Fetch = Callable[[str], bytes]
"""Answers a URL with the body of its response; raises OSError or SubprocessError if it cannot."""

_TIMEOUT_SECONDS = 5.0
# The environment may name a proxy, which must never see the loopback traffic of a test.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_READ_AND_PRINT = (
    "import sys, urllib.request as r;"
    "o = r.build_opener(r.ProxyHandler({}));"
    f"sys.stdout.buffer.write(o.open(sys.argv[1], timeout={_TIMEOUT_SECONDS}).read())"
)


def fetch_directly(url: str | urllib.request.Request) -> bytes:
    """Return the body of `url`, or of the answer to a whole request."""
    with _DIRECT.open(url, timeout=_TIMEOUT_SECONDS) as response:
        body: bytes = response.read()
    return body


def fetch_through(prefix: Sequence[str]) -> Fetch:
    """Return a fetch that runs behind `prefix`, for example `ip netns exec NAME`."""

    def fetch(url: str) -> bytes:
        return subprocess.run(
            [*prefix, sys.executable, "-c", _READ_AND_PRINT, url],
            check=True,
            capture_output=True,
            timeout=2 * _TIMEOUT_SECONDS,
        ).stdout

    return fetch


def default_fetch(prefix: Sequence[str]) -> Fetch:
    """Return the fetch that reaches a program started behind `prefix`."""
    return fetch_through(prefix) if prefix else fetch_directly
