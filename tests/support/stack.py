"""The whole delivery chain of one test: Prometheus, Alertmanager and the webhook behind them."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from support import webhook as webhook_program
from support.alertmanager import Alertmanager
from support.fetch import Fetch, default_fetch
from support.process import Process, free_address
from support.prometheus import Prometheus
from support.webhook import WebhookLog

_READY_SECONDS = 10.0


class WebhookReceiver:
    """The webhook program, and the log of what it received; arguments as for `Prometheus`."""

    def __init__(
        self,
        directory: Path,
        *,
        listen: str | None = None,
        prefix: Sequence[str] = (),
        fetch: Fetch | None = None,
    ) -> None:
        self.address = listen or free_address()
        self.url = f"http://{self.address}/"
        self.log = WebhookLog(directory / "webhook.jsonl")
        self._fetch = fetch or default_fetch(prefix)
        program = [sys.executable, str(webhook_program.__file__)]
        arguments = [f"--listen={self.address}", f"--output={self.log.path}"]
        self.process = Process([*prefix, *program, *arguments], log=directory / "webhook.log")

    def __enter__(self) -> Self:
        self.process.start()
        try:
            self.process.wait_until(lambda: self._fetch(self.url) == b"", _READY_SECONDS)
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()


class Stack:
    """Prometheus scraping `targets` (job → addresses) → Alertmanager → webhook, all started."""

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Sequence[str]],
        *,
        prefix: Sequence[str] = (),
    ) -> None:
        self.webhook = WebhookReceiver(directory, prefix=prefix)
        self.alertmanager = Alertmanager(directory, self.webhook.url, prefix=prefix)
        self.prometheus = Prometheus(
            directory, targets, alertmanager=self.alertmanager.address, prefix=prefix
        )
        self._open = ExitStack()

    @property
    def delivered(self) -> WebhookLog:
        """What has arrived at the webhook so far."""
        return self.webhook.log

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            # The receiving end first, so that no alert meets a closed port.
            for part in (self.webhook, self.alertmanager, self.prometheus):
                starting.enter_context(part)
            self._open = starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()
