# SPDX-License-Identifier: Apache-2.0
"""The command `railwatch-agent`: run it, say what it would do and can read, forget a rail."""

from __future__ import annotations

import argparse
import faulthandler
import importlib.metadata
import logging
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import railwatch_agent.single_thread  # noqa: F401 - before what imports numpy
from railwatch.clock import SystemClock
from railwatch.exposition import CONTENT_TYPE
from railwatch.reload import Reloader
from railwatch.service_manager import ServiceManager
from railwatch.settings import ConfigError, describe, scalar_keys
from railwatch.signals import Requests
from railwatch.supervision import Supervision
from railwatch.web import Access, Response, Route, Server, open_access
from railwatch_agent.agent import Agent
from railwatch_agent.doctor.examination import examine_node
from railwatch_agent.doctor.machine_readable import render_json
from railwatch_agent.doctor.table import render_table
from railwatch_agent.forgetting import ForgetError, forget
from railwatch_agent.inventory import read_machine, take_stock
from railwatch_agent.microscope_routes import microscope_routes
from railwatch_agent.numbering import Book, BookFile
from railwatch_agent.settings import DEFAULT_FILE, ENVIRONMENT_PREFIX, AgentSettings, load_settings
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.route import default_route_interface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from railwatch_agent.doctor.examination import Examination
    from railwatch_agent.inventory import Machine
    from railwatch_agent.numbering import Record

# What `forget` takes besides settings.
_FORGET_OPTIONS = frozenset({"rail", "force"})

log = logging.getLogger("railwatch_agent")

_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>railwatch agent</title></head>
<body><h1>railwatch agent</h1>
<p><a href="/metrics">/metrics</a> <a href="/-/healthy">/-/healthy</a>
<a href="/-/ready">/-/ready</a></p></body></html>
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what is wrong with the settings is one line, and exit code 1."""
    options = vars(_parser().parse_args(arguments))
    verb: Callable[..., int] = options.pop("verb")
    file: Path | None = options.pop("config")
    own = {name: options.pop(name) for name in _FORGET_OPTIONS & options.keys()}
    flags = {path: text for path, text in options.items() if text is not None}
    read = partial(load_settings, file, os.environ, flags)
    if verb is _run:
        own["read"] = read
    try:
        return verb(read(), **own)
    except (ConfigError, ForgetError) as exc:
        # A parser's message may go over several lines.
        line = " ".join(str(exc).split())
        sys.stderr.write(f"railwatch-agent: {line}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="railwatch-agent", description="Watches the rails of this node.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=_version())
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = verbs.add_parser("run", help="sample the rails and serve /metrics", allow_abbrev=False)
    check = verbs.add_parser("check", help="say what would be watched", allow_abbrev=False)
    giving_up = verbs.add_parser("forget", help="give up a rail's number", allow_abbrev=False)
    giving_up.add_argument("rail", metavar="RAIL", help="its number, PCI address or device")
    giving_up.add_argument("--force", action="store_true", help="even if it is found again at once")
    run.set_defaults(verb=_run)
    check.set_defaults(verb=_check)
    giving_up.set_defaults(verb=_forget)
    for command in (run, check, _add_doctor(verbs), giving_up):
        _add_settings(command)
    return parser


def _add_doctor(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    doctor = verbs.add_parser(
        "doctor",
        help="say what this node lets the agent read, what not, and why",
        description="Reads everything once and changes nothing. Exit code 0 if the bytes of a "
        "rail can be read. Statuses: ok; absent, the hardware or driver does not keep it; denied, "
        "this user may not; failed, the kernel answered with an error or not at all; off, by "
        "configuration; missing, a module, package or service. Behind an arrow: what changes it.",
        allow_abbrev=False,
    )
    doctor.add_argument(
        "--json",
        dest="verb",
        action="store_const",
        const=_doctor_json,
        default=_doctor,
        help="print one JSON object in place of the table",
    )
    return doctor


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, metavar="FILE", help=f"settings; by default {DEFAULT_FILE}, if any"
    )
    for path, _ in scalar_keys(AgentSettings):
        name = f"{ENVIRONMENT_PREFIX}_{path.replace('.', '_')}".upper()
        # argparse formats help texts with %.
        text = f"{describe(AgentSettings, path)} [{name}]".replace("%", "%%")
        command.add_argument(f"--{path}", dest=path, metavar="VALUE", help=text)


def _check(settings: AgentSettings) -> int:
    """Print the rails that would be watched; changes nothing."""
    _access(settings)
    book = BookFile(Path(settings.paths.state)).peek()
    _, rails = take_stock(book, _machine(settings, book), settings.rails)
    lines = [
        f"rail {rail.number}: device={rail.device} kind={rail.kind} "
        f"pci_address={rail.pci_address or '-'} selected_by={rail.selected_by} "
        f"present={int(rail.is_present)}"
        for rail in rails
    ]
    sys.stdout.write("\n".join([*lines, "ok"]) + "\n")
    return 0


def _doctor(settings: AgentSettings) -> int:
    """Print what can be read here, as a table."""
    columns = shutil.get_terminal_size((100, 24)).columns
    return _examine(settings, lambda examination: render_table(examination, columns))


def _doctor_json(settings: AgentSettings) -> int:
    """Print what can be read here, as JSON."""
    return _examine(settings, render_json)


def _examine(settings: AgentSettings, render: Callable[[Examination], str]) -> int:
    # What is wrong is in the report, and need not be said twice.
    logging.disable()
    examination = examine_node(settings, _version())
    sys.stdout.write(render(examination))
    return 0 if examination.watched else 1


def _forget(settings: AgentSettings, rail: str, *, force: bool) -> int:
    """Take a rail out of the book, whether or not an agent is running."""
    book_file = BookFile(Path(settings.paths.state))
    try:
        book = _load(book_file)
        found = forget(book, rail, _machine(settings, book), settings.rails)
        if found.next_number is not None and not force:
            raise ForgetError(
                f"{_identity(found.record)} is there or configured, and would be found again at "
                "once; --force forgets it nonetheless"
            )
        if book_file.has_changed():
            raise ForgetError("the agent has changed the inventory meanwhile; try again")
        book_file.replace(found.book)
    except OSError as exc:
        raise ForgetError(f"[paths] state: {exc}") from exc
    sys.stdout.write(f"forgotten: {_identity(found.record)}\n")
    if found.next_number is not None:
        sys.stdout.write(f"found again: as rail {found.next_number}\n")
    return 0


def _load(book_file: BookFile) -> Book:
    try:
        return book_file.load()
    except FileNotFoundError:
        return Book()
    except ValueError as exc:
        raise ForgetError(f"[paths] state: the inventory is damaged: {exc}") from exc


def _identity(record: Record) -> str:
    return (
        f"rail {record.number}: device={record.rdma or record.netdev} "
        f"pci_address={record.pci_address or '-'}"
    )


def _machine(settings: AgentSettings, book: Book) -> Machine:
    try:
        route = default_route_interface(Path(settings.paths.procfs))
        return read_machine(Path(settings.paths.sysfs), book, settings.rails, route)
    except (SourceError, ValueError) as exc:
        raise ConfigError(f"[paths] {exc}") from exc


def _run(settings: AgentSettings, read: Callable[[], AgentSettings]) -> int:
    """Run until SIGTERM or SIGINT; *read* the settings anew at SIGHUP."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    version = _version()
    agent = Agent(settings, clock=SystemClock(), version=version)
    access = _access(settings)
    server = Server(settings.server.listen, _routes(agent, settings, access), access)
    # What ends the process for a fault, or for the watchdog, leaves where each thread was.
    faulthandler.enable()
    supervision = Supervision(
        agent,
        requests=Requests(),
        manager=ServiceManager(os.environ),
        reload=Reloader(settings, read=read, put_in_force=agent.adopt).reload,
    )
    agent.start()
    server.start()
    try:
        if supervision.begin():
            names = ",".join(f"{r.number}:{r.device}" for r in agent.inventory.rails())
            log.info(
                "started version=%s listen=%s rails=%s",
                version,
                settings.server.listen,
                names or "none",
            )
            supervision.run()
    finally:
        agent.stop()
        server.close()
    return 0


def _access(settings: AgentSettings) -> Access:
    server = settings.server
    return open_access(
        server.listen, web_config_file=server.web_config_file, insecure=server.insecure
    )


def _routes(agent: Agent, settings: AgentSettings, access: Access) -> dict[str, Route]:
    def state(holds: Callable[[], bool]) -> Response:
        return Response(b"yes\n") if holds() else Response(b"no\n", status=503)

    token_file = settings.microscope.token_file
    if token_file and not access.keeps_secrets(settings.server.listen):
        log.warning(
            "[microscope] token_file: there is no microscope, for its token could be read on the "
            "way to %s without TLS",
            settings.server.listen,
        )
        token_file = ""
    return {
        **(microscope_routes(agent.microscope, token_file) if token_file else {}),
        "/": lambda _: Response(_PAGE, "text/html; charset=utf-8"),
        "/metrics": lambda _: Response(agent.metrics(), CONTENT_TYPE),
        "/-/healthy": lambda _: state(agent.is_healthy),
        "/-/ready": lambda _: state(agent.is_ready),
    }


def _version() -> str:
    try:
        return importlib.metadata.version("railwatch-agent")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
