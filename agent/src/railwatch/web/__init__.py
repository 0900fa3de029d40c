# SPDX-License-Identifier: Apache-2.0
"""HTTP for machines: a bounded server, TLS and authentication by exporter-toolkit's file."""

from railwatch.web.access import Access, open_access
from railwatch.web.address import is_loopback, parse_listen, refuse_public
from railwatch.web.route import Request, Response, Route, guarded
from railwatch.web.server import Server
from railwatch.web.wire import Limits

__all__ = [
    "Access",
    "Limits",
    "Request",
    "Response",
    "Route",
    "Server",
    "guarded",
    "is_loopback",
    "open_access",
    "parse_listen",
    "refuse_public",
]
