# SPDX-License-Identifier: Apache-2.0
"""What the analyzer shows to servers, what it asks them to show, and what it says of bad files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch.clock import SystemClock
from railwatch.settings import ConfigError
from railwatch.web import Response, Server, open_access
from railwatch_analyzer.settings import MicroscopeSettings, SourceSettings
from railwatch_analyzer.sources.credentials import (
    microscope_access,
    parse_headers,
    source_access,
)
from railwatch_analyzer.sources.scrape import ScrapeSource, Target
from support.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SERIES = b'railwatch_rail_up{rail="0",device="a"} 1\n'


class Site:
    """An agent that asks for client certificates, in the name of agent.example."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory, "ca")
        self.authority.issue("server", names="DNS:agent.example")
        self.client = self.authority.issue("client")
        config = directory / "web.yml"
        config.write_text(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
        )
        listen = "127.0.0.1:0"
        access = open_access(listen, web_config_file=str(config), insecure=False)
        self.server = Server(listen, {"/metrics": lambda _: Response(_SERIES)}, access)
        self.server.start()
        self.settings = SourceSettings(
            tls_ca_file=str(self.authority.certificate),
            tls_cert_file=str(self.client.certificate),
            tls_key_file=str(self.client.key),
            tls_server_name="agent.example",
        )

    def sees_agent(self, settings: SourceSettings) -> bool:
        """Whether a scrape by *settings* succeeds."""
        target = Target(f"127.0.0.1:{self.server.port}", "node")
        access = source_access(settings)
        source = ScrapeSource([target], SystemClock(), interval_seconds=30.0, access=access)
        with closing(source):
            return source.fetch().missed == ()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.server.close()


def test_an_agent_is_asked_over_tls_with_a_certificate(site: Site) -> None:
    assert site.sees_agent(site.settings)


def test_an_agent_that_is_not_the_one_meant_is_not_asked(site: Site, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")

    assert not site.sees_agent(replace(site.settings, tls_server_name="other.example"))
    assert not site.sees_agent(replace(site.settings, tls_ca_file=str(stranger.certificate)))
    assert not site.sees_agent(replace(site.settings, tls_cert_file="", tls_key_file=""))


def test_a_password_is_read_from_its_file_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("example\n")

    access = source_access(SourceSettings(username="prometheus", password_file=str(file)))

    assert access.headers == {"Authorization": "Basic cHJvbWV0aGV1czpleGFtcGxl"}
    assert "cHJv" not in repr(access)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"username": "u"}, "username and password_file: one is of no use"),
        ({"username": "a:b", "password_file": "p"}, "username: must not have a colon"),
        ({"tls_cert_file": "c"}, "tls_cert_file and tls_key_file: one is of no use"),
        ({"prometheus": "http://p", "tls_ca_file": "c"}, "prometheus: must begin with https://"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SourceSettings(**keys)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tls_ca_file": "missing"}, r"\[source\] tls_ca_file: cannot be used: No such file"),
        ({"tls_cert_file": "x", "tls_key_file": "y"}, r"\[source\] tls_cert_file, tls_key_file: "),
        ({"username": "u", "password_file": "z"}, r"\[source\] password_file: cannot read z"),
    ],
)
def test_files_that_cannot_be_used_are_named(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source_access(SourceSettings(**keys))


def test_one_authorization_is_enough(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("authorization: Bearer x\n")
    settings = SourceSettings(username="u", password_file=str(headers), headers_file=str(headers))

    with pytest.raises(ConfigError, match="has an Authorization already"):
        source_access(settings)


def test_a_microscope_is_shown_the_token(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    keys = {"tls_ca_file": str(site.authority.certificate), "token_file": str(file)}

    access = microscope_access(MicroscopeSettings(**keys))

    assert access.headers == {"Authorization": "Bearer t0ken"}
    assert access.tls is not None
    assert microscope_access(MicroscopeSettings(token_file=str(file))).tls is None


@given(st.text())
def test_no_line_of_a_file_of_headers_is_two_headers(text: str) -> None:
    try:
        headers = parse_headers(text, "file")
    except ConfigError:
        return

    assert all(part.isprintable() and part.isascii() for pair in headers.items() for part in pair)


_TOKENS = st.text("abcXYZ019!#$%&'*+.^_`|~-", min_size=1)
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.strip)


@given(st.dictionaries(_TOKENS, _VALUES))
def test_headers_come_back_as_they_were_written(headers: dict[str, str]) -> None:
    text = "\n".join(f"{name}: {value}" for name, value in headers.items())

    assert parse_headers(text, "file") == headers
