"""The whole delivery chain of one test: Prometheus, Alertmanager and the webhook behind them."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from support import webhook as webhook_program
from support.alertmanager import Alertmanager
from support.prometheus import Prometheus
from support.service import Service
from support.webhook import WebhookLog


class WebhookReceiver(Service):
    """The webhook program, and the log of what it received."""

    name = "webhook"
    ready_path = "/"

    @property
    def log(self) -> WebhookLog:
        """What it received so far."""
        return WebhookLog(self.directory / "webhook.jsonl")

    def arguments(self) -> list[str]:
        """The command line, program first."""
        program = [sys.executable, str(webhook_program.__file__)]
        return [*program, f"--listen={self.address}", f"--output={self.log.path}"]


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
