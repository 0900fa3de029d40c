"""The far end of an alert: writes each notification it receives as one JSON line.

Runs as `python webhook.py --listen ADDRESS:PORT --output FILE`, inside a network namespace too,
where only the file is shared with the test; hence the standard library only.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class DeliveredAlert:
    """One alert of one notification; `status` is firing or resolved, the time Unix seconds."""

    received_seconds: float
    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


@dataclass(frozen=True, slots=True)
class WebhookLog:
    """Reads what the webhook wrote; a line that is still being written is left for later."""

    path: Path

    def notifications(self) -> list[dict[str, Any]]:
        """Return the notifications in the order of their arrival."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def alerts(self, name: str | None = None, status: str | None = None) -> list[DeliveredAlert]:
        """Return the alerts delivered so far, oldest first, by name and status if given."""
        delivered = [
            DeliveredAlert(
                received_seconds=line["received_seconds"],
                receiver=line["notification"]["receiver"],
                status=alert["status"],
                labels=alert["labels"],
                annotations=alert["annotations"],
            )
            for line in self.notifications()
            for alert in line["notification"]["alerts"]
        ]
        return [a for a in delivered if name in (None, a.name) and status in (None, a.status)]


class WebhookServer(ThreadingHTTPServer):
    """Appends each notification posted to it to `output`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], output: TextIO) -> None:
        self.output = output
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        received_seconds = time.time()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        line = {"received_seconds": received_seconds, "notification": json.loads(body)}
        # One write, so that lines of two connections never mix.
        self.server.output.write(json.dumps(line) + "\n")
        self.server.output.flush()
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    with (
        options.output.open("a", encoding="utf-8") as output,
        WebhookServer((host, int(port)), output) as server,
    ):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
