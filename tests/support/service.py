"""A program that serves HTTP: started, awaited until it is ready, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from support.fetch import Fetch, default_fetch
from support.process import Process, free_address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_READY_SECONDS = 60.0


class Service:
    """A program that answers at `address` once it is ready, and ends with the context.

    `prefix` goes before the program's arguments (`["ip", "netns", "exec", NAME]`); `fetch` then
    defaults to one behind the same prefix. `listen` is `host:port`, by default a free loopback
    port of the machine. Subclasses say with which arguments the program starts.
    """

    name: str
    ready_path = "/-/ready"

    def __init__(
        self,
        directory: Path,
        *,
        listen: str | None = None,
        prefix: Sequence[str] = (),
        fetch: Fetch | None = None,
    ) -> None:
        self.directory = directory
        self.address = listen or free_address()
        self.url = f"http://{self.address}"
        self.fetch = fetch or default_fetch(prefix)
        self.process = Process([*prefix, *self.arguments()], log=directory / f"{self.name}.log")

    def arguments(self) -> list[str]:
        """The command line, program first."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.process.start()
        try:
            self.process.wait_until(self._is_ready, _READY_SECONDS)
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()

    def _is_ready(self) -> bool:
        # Whatever it answers: an error status is raised.
        self.fetch(f"{self.url}{self.ready_path}")
        return True
