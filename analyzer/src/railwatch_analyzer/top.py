# SPDX-License-Identifier: Apache-2.0
"""`railwatch-analyzer top`: the live picture of a running analyzer in a terminal."""

from __future__ import annotations

import asyncio
import math
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import httpx
import orjson

from railwatch.clock import SystemClock
from railwatch.settings import ConfigError
from railwatch_analyzer.sources.http_client import Access, FetchError, HttpClient
from railwatch_analyzer.terminal.layout import draw
from railwatch_analyzer.terminal.picture import NOTHING, Picture, PictureError, picture_of
from railwatch_analyzer.terminal.screen import Screen, hang_up, is_screen, say, stopping
from railwatch_analyzer.terminal.wording import line

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from railwatch.clock import Clock

_WITHIN_SECONDS = 5.0
_MOST_BYTES = 64 * 2**20
_POLL_SECONDS = 1.0
# The picture of a large fleet takes time to make: it may cost the analyzer a tenth of it.
_POLL_TIMES_TAKEN = 10.0


class View(Protocol):
    """Where pictures go."""

    def show(self, picture: Picture) -> None:
        """Show what the analyzer answered."""
        ...

    def lament(self, trouble: str) -> None:
        """Show that it did not answer, and why."""
        ...


class ScreenView:
    """Draws on the whole terminal; while the analyzer is away the last picture stays."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.picture = NOTHING
        self.trouble = ""

    def show(self, picture: Picture) -> None:
        """Draw *picture*."""
        self.picture, self.trouble = picture, ""
        self._screen.draw(draw(picture, self._screen.size))

    def lament(self, trouble: str) -> None:
        """Draw the last picture under *trouble*."""
        self.trouble = trouble
        self._screen.draw(draw(self.picture, self._screen.size, trouble=trouble))


class LineView:
    """Writes a line for each new round, and one for each new trouble."""

    def __init__(self) -> None:
        self._round: tuple[float, str] | None = None
        self._trouble = ""

    def show(self, picture: Picture) -> None:
        """Write *picture* as a line if it is of a round that was not shown."""
        this = (picture.time, picture.complaint)
        if this != self._round or self._trouble:
            say(line(picture))
        self._round, self._trouble = this, ""

    def lament(self, trouble: str) -> None:
        """Write *trouble* once."""
        if trouble != self._trouble:
            say(trouble)
        self._trouble = trouble


class Remote:
    """The analyzer at an address."""

    def __init__(self, url: str, clock: Clock) -> None:
        address = _address(url)
        self._base = str(address).rstrip("/")
        # A password is for the analyzer and not for who looks over the shoulder.
        self._shown = str(address.copy_with(userinfo=b"")).rstrip("/")
        self._client = HttpClient(Access(), clock, most_bytes=_MOST_BYTES)

    def look(self) -> Picture:
        """Return the picture as it is now.

        Raises
        ------
        PictureError
            If there is none; the message is for the user.
        """
        try:
            return picture_of(*self._client.run(self._answers()))
        except FetchError as exc:
            raise PictureError(f"cannot reach {self._shown}: {exc}; trying again") from exc
        except (PictureError, orjson.JSONDecodeError) as exc:
            reason = f"no railwatch analyzer answers at {self._shown}: {exc}; trying again"
            raise PictureError(reason) from exc

    async def _answers(self) -> tuple[object, object, object]:
        status, findings, jobs = await asyncio.gather(
            self._answer("/api/v1/links"),
            self._answer("/api/v1/findings"),
            self._answer("/api/v1/jobs", may_be_missing=True),
        )
        return status, findings, jobs

    async def _answer(self, path: str, *, may_be_missing: bool = False) -> object:
        """Return what is at *path*; an analyzer of an older version knows nothing of jobs."""
        answer = await self._client.get(self._base + path, within_seconds=_WITHIN_SECONDS)
        if may_be_missing and answer.status == 404:
            return None
        if answer.status != 200:
            raise FetchError(f"it answers {path} with status {answer.status}")
        return orjson.loads(answer.body)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def top(url: str, seconds: float | None = None) -> int:
    """Show the analyzer at *url* until a signal comes or *seconds* have passed; 0 is success.

    Raises
    ------
    ConfigError
        If *url* is no address or *seconds* no time.
    """
    if seconds is not None and not seconds >= 0:
        raise ConfigError(f"--seconds: must not be negative, got {seconds!r}")
    clock = SystemClock()
    limit = math.inf if seconds is None else seconds
    with stopping() as stop, closing(Remote(url, clock)) as remote:
        try:
            return _show(remote, clock, stop, limit)
        except BrokenPipeError:
            hang_up()
            return 0


def _show(remote: Remote, clock: Clock, stop: threading.Event, seconds: float) -> int:
    if not is_screen():
        return watch(remote.look, LineView(), clock, stop, seconds=seconds)
    with Screen() as screen:
        view = ScreenView(screen)
        code = watch(remote.look, view, clock, stop, seconds=seconds)
        screen.leave(draw(view.picture, screen.size, trouble=view.trouble))
    return code


def watch(
    look: Callable[[], Picture],
    view: View,
    clock: Clock,
    stop: threading.Event,
    *,
    seconds: float,
) -> int:
    """Show what *look* returns again and again; 1 if the time ran out and it never returned."""
    end = clock.monotonic() + seconds
    answered = False
    while True:
        began = clock.monotonic()
        try:
            picture = look()
        except PictureError as exc:
            view.lament(str(exc))
        else:
            answered = True
            view.show(picture)
        now = clock.monotonic()
        pause = max(_POLL_SECONDS, _POLL_TIMES_TAKEN * (now - began))
        if clock.wait(stop, max(min(pause, end - now), 0.0)):
            return 0
        if clock.monotonic() >= end:
            return 0 if answered else 1


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ConfigError(f"--url: {exc}") from exc
    if address.scheme not in {"http", "https"} or not address.host:
        raise ConfigError(f"--url: expected http://HOST:PORT, got {url!r}")
    return address
