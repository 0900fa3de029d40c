# SPDX-License-Identifier: Apache-2.0
"""railwatch-analyzer: the one place where its parts are put together."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from railwatch.clock import SystemClock
from railwatch.reload import Reloader
from railwatch.service_manager import ServiceManager
from railwatch.settings import ConfigError, load, scalar_keys
from railwatch.signals import Requests
from railwatch.supervision import Supervision
from railwatch.web import Access, Server, open_access
from railwatch_analyzer.plan.flags import add_flags
from railwatch_analyzer.rules.check import faults
from railwatch_analyzer.settings import AnalyzerSettings
from railwatch_analyzer.sources.credentials import microscope_access, source_access
from railwatch_analyzer.sources.errors import SourceError
from railwatch_analyzer.sources.http_client import HttpClient
from railwatch_analyzer.sources.node import node_names
from railwatch_analyzer.sources.prometheus import PrometheusSource
from railwatch_analyzer.sources.scrape import ScrapeSource, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from railwatch.clock import Clock
    from railwatch_analyzer.closeup import CloseUps
    from railwatch_analyzer.findings import Finding
    from railwatch_analyzer.settings import MicroscopeSettings
    from railwatch_analyzer.sources.base import Source

log = logging.getLogger(__name__)

_DEFAULT_FILE = Path("/etc/railwatch/analyzer.toml")
_STATE_FILE = "analyzer-state.npz"
_ENVIRONMENT = "RAILWATCH_ANALYZER"
# With the half second that the server may take it is well within the two that stopping may.
_LAST_ROUND_SECONDS = 1.0
# A minute at 200 Hz is 12,000 samples of three numbers.
_MOST_CLOSEUP_BYTES = 4_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # One line a request is the client library's idea of information, not ours.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return int(options.command(options))
    except (ConfigError, SourceError) as exc:
        sys.stderr.write(f"railwatch-analyzer: {exc}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="railwatch-analyzer", description=__doc__)
    parser.add_argument("--version", action="version", version=version("railwatch-analyzer"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("run", _run, "make rounds and serve verdicts"),
        ("check", _check, "check the configuration and end"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        command.add_argument("--config", type=Path, metavar="FILE", help="analyzer.toml")
        for key, _ in scalar_keys(AnalyzerSettings):
            command.add_argument(f"--{key}", metavar="VALUE", help=argparse.SUPPRESS)
        if name == "check":
            _add_rules(command)
    _add_replay(commands)
    _add_live(commands)
    text = "say what a job's network has to carry, and what that leaves exposed"
    command = commands.add_parser("plan", help=text, description=text)
    command.set_defaults(command=_plan)
    add_flags(command)
    return parser


def _add_rules(command: argparse.ArgumentParser) -> None:
    text = "instead, hold the names in these files of Prometheus rules against the catalogue"
    command.add_argument("--rules", type=Path, nargs="+", metavar="FILE", help=text)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "judge a recorded trace and write its findings"
    replay = commands.add_parser("replay", help=text, description=text)
    replay.set_defaults(command=_replay)
    replay.add_argument("rails", type=Path, nargs="?", metavar="RAILS.parquet")
    replay.add_argument("--steps", type=Path, metavar="STEPS.parquet", help="steps of the jobs")
    replay.add_argument("--output", type=Path, required=True, metavar="findings.jsonl")
    text = "judge what a Prometheus recorded and write the findings"
    past = commands.add_parser("backtest", help=text, description=text)
    past.set_defaults(command=_backtest)
    past.add_argument("--prometheus", required=True, metavar="URL")
    for name in ("--start", "--end"):
        past.add_argument(name, required=True, metavar="TIME", help="ISO 8601 or Unix seconds")
    past.add_argument("--matcher", action="append", default=[], help='such as cluster="a"')
    past.add_argument("--output", type=Path, required=True, metavar="findings.jsonl")


def _add_live(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "show the live picture of an analyzer in this terminal"
    top = commands.add_parser("top", help=text, description=text)
    top.set_defaults(command=_top)
    top.add_argument("--url", default="http://127.0.0.1:9811", help="the analyzer's address")
    top.add_argument("--seconds", type=float, default=None, help="end after so long")
    text = "simulate a cluster with a bad rail and show what railwatch says of it"
    demo = commands.add_parser("demo", help=text, description=text)
    demo.set_defaults(command=_demo)
    demo.add_argument("--seed", type=int, default=1)
    demo.add_argument("--speed", type=float, default=10.0, help="times faster than real time")


def _settings(options: argparse.Namespace) -> AnalyzerSettings:
    file = options.config
    if file is None and _DEFAULT_FILE.exists():
        file = _DEFAULT_FILE
    given = vars(options)
    flags = {key: given[key] for key, _ in scalar_keys(AnalyzerSettings) if given[key] is not None}
    return load(
        AnalyzerSettings, file=file, environment=os.environ, prefix=_ENVIRONMENT, flags=flags
    )


def _check(options: argparse.Namespace) -> int:
    settings = _settings(options)
    if options.rules is not None:
        return _check_rules(options.rules, settings.source.node_label)
    _server_access(settings)
    _source_of(settings).close()
    sys.stdout.write("ok\n")
    return 0


def _check_rules(files: list[Path], node_label: str | None) -> int:
    found = faults(files, node_label or "")
    sys.stdout.write("".join(f"{line}\n" for line in found or ["ok"]))
    return int(bool(found))


def _run(options: argparse.Namespace) -> int:
    # scikit-learn takes a second to load, which `top` and a mistaken key need not wait for.
    from railwatch_analyzer.rounds import Rounds  # noqa: PLC0415
    from railwatch_analyzer.service import Analyzer  # noqa: PLC0415
    from railwatch_analyzer.store import restored  # noqa: PLC0415

    settings = _settings(options)
    clock = SystemClock()
    state_file = _state_file(settings.paths.state)
    closeups = _closeups(settings.microscope, clock)
    analyzer = Analyzer(
        _source_of(settings),
        clock,
        interval_seconds=settings.cycle.interval_seconds,
        state=restored(state_file),
        state_file=state_file,
        closeups=closeups,
    )
    server = Server(settings.server.listen, analyzer.routes(), _server_access(settings))
    # What ends the process for a fault, or for the watchdog, leaves where each thread was.
    faulthandler.enable()
    rounds = Rounds(analyzer)
    reloader = Reloader(
        settings,
        read=lambda: _settings(options),
        put_in_force=lambda found: analyzer.adopt(_source_of(found), found.cycle.interval_seconds),
    )
    supervision = Supervision(
        rounds,
        requests=Requests(),
        manager=ServiceManager(os.environ),
        reload=reloader.reload,
    )
    server.start()
    rounds.start()
    log.info(
        "railwatch-analyzer %s listens on %s", version("railwatch-analyzer"), settings.server.listen
    )
    if supervision.begin():
        supervision.run()
    server.close()
    if rounds.stop(_LAST_ROUND_SECONDS):
        analyzer.close()
        return 0
    # What the round before knew has been saved. The thread cannot be ended, and numerical libraries
    # may crash where an interpreter that ends takes it away from them.
    log.info("a round is under way, and is left")
    logging.shutdown()
    os._exit(0)


def _server_access(settings: AnalyzerSettings) -> Access:
    server = settings.server
    return open_access(
        server.listen, web_config_file=server.web_config_file, insecure=server.insecure
    )


def _source_of(analyzer_settings: AnalyzerSettings) -> Source:
    settings = analyzer_settings.source
    access = source_access(settings)
    clock = SystemClock()
    if settings.prometheus is not None:
        return PrometheusSource(
            settings.prometheus,
            clock,
            matchers=settings.matchers,
            node_label=settings.node_label,
            access=access,
        )
    nodes = node_names(settings.targets)
    targets = [Target(address, nodes[address]) for address in settings.targets]
    interval_seconds = analyzer_settings.cycle.interval_seconds
    return ScrapeSource(targets, clock, interval_seconds=interval_seconds, access=access)


def _closeups(settings: MicroscopeSettings, clock: Clock) -> CloseUps | None:
    """Return who asks agents for close looks, None where no token says that it may."""
    if not settings.token_file:
        return None
    from railwatch_analyzer.closeup import CloseUps  # noqa: PLC0415 - loads what judges, as above

    access = microscope_access(settings)
    client = HttpClient(access, clock, most_bytes=_MOST_CLOSEUP_BYTES)
    return CloseUps(client, clock, port=settings.port, is_secure=access.tls is not None)


def _state_file(directory: str) -> Path | None:
    path = Path(directory)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        log.warning("nothing is kept across restarts: %s: %s", path, exc.strerror)
        return None
    if not os.access(path, os.W_OK):
        log.warning("nothing is kept across restarts: %s is not writable", path)
        return None
    return path / _STATE_FILE


def _replay(options: argparse.Namespace) -> int:
    from railwatch_analyzer.replay import replay  # noqa: PLC0415 - pandas and pyarrow load slowly

    if options.rails is None and options.steps is None:
        raise ConfigError("replay: give RAILS.parquet, --steps STEPS.parquet, or both")
    return _written(replay(options.rails, options.steps), options.output)


def _backtest(options: argparse.Namespace) -> int:
    from railwatch_analyzer.backtest import backtest, unix_seconds  # noqa: PLC0415 - as replay

    try:
        start, end = unix_seconds(options.start), unix_seconds(options.end)
    except ValueError as exc:
        raise ConfigError(f"backtest: {exc}") from exc
    if not start <= end:
        raise ConfigError(f"backtest: --end {options.end} is before --start {options.start}")
    findings = backtest(options.prometheus, start, end, matchers=options.matcher)
    return _written(findings, options.output)


def _written(findings: Iterator[Finding], output: Path) -> int:
    try:
        with output.open("wb") as file:
            for finding in findings:
                file.write(orjson.dumps(finding.as_json()) + b"\n")
    except OSError as exc:
        raise ConfigError(f"{output}: {exc.strerror}") from exc
    return 0


def _top(options: argparse.Namespace) -> int:
    from railwatch_analyzer.top import top  # noqa: PLC0415 - rich is for terminals only

    return top(options.url, seconds=options.seconds)


def _demo(options: argparse.Namespace) -> int:
    from railwatch_analyzer.demo import demo  # noqa: PLC0415 - the simulation is for demo only

    return demo(seed=options.seed, speed=options.speed)


def _plan(options: argparse.Namespace) -> int:
    from railwatch_analyzer.plan.command import plan  # noqa: PLC0415 - rich is for terminals only

    return plan(options)


if __name__ == "__main__":
    sys.exit(main())
