"""TLS and authentication over real sockets: who gets in, and files that change meanwhile."""

import base64
import http.client
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from railwatch.settings import ConfigError
from railwatch.web import Response, Server, guarded, open_access
from support.certificates import Authority, Pair

_PATIENCE_SECONDS = 20.0
_PASSWORD = "correct horse"
# The least work that bcrypt knows.
_HASH = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
_LOOPBACK = "127.0.0.1:0"


class Site:
    """A web configuration in a directory, and the server that follows it."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.stranger = Authority(directory, "stranger")
        self.file = directory / "web.yml"
        self.authority.issue("server")
        self.servers: list[Server] = []

    def write(self, *lines: str, tls: str = "") -> None:
        """Write the file: TLS with *tls* added to it, and *lines*."""
        base = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
        written = self.file.with_suffix(".new")
        written.write_text(base + tls + "".join(f"{line}\n" for line in lines))
        written.replace(self.file)

    def serve(self) -> Server:
        """Return a server that runs until the test ends."""
        access = open_access(_LOOPBACK, web_config_file=str(self.file), insecure=False)
        routes = {
            "/metrics": lambda _: Response(b"up 1\n"),
            "/secret": guarded(lambda _: Response(b"seen\n"), lambda: "t0ken"),
        }
        server = Server(_LOOPBACK, routes, access)
        server.start()
        self.servers.append(server)
        return server

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """Return what a client of this site has, with the certificate *pair*."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for server in site.servers:
        server.close()


def _connect(server: Server, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(
        "localhost", server.port, timeout=_PATIENCE_SECONDS, context=context
    )


def _get(
    server: Server, context: ssl.SSLContext, path: str = "/metrics", authorization: str = ""
) -> tuple[int, http.client.HTTPMessage]:
    connection = _connect(server, context)
    connection.request("GET", path, headers={"Authorization": authorization})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()


def _serial(connection: http.client.HTTPSConnection) -> object:
    assert isinstance(connection.sock, ssl.SSLSocket)
    certificate = connection.sock.getpeercert()
    assert certificate is not None
    return certificate["serialNumber"]


def test_answers_are_encrypted(site: Site) -> None:
    site.write("http_server_config:", "  headers: {X-Content-Type-Options: nosniff}")
    server = site.serve()

    status, headers = _get(server, site.client())

    assert status == 200
    assert headers["X-Content-Type-Options"] == "nosniff"
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_SECONDS) as plain:
        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"up 1" not in plain.recv(4096)


def test_without_a_password_or_with_a_wrong_one_nothing_is_answered(site: Site) -> None:
    site.write("basic_auth_users:", f"  alice: {_HASH}")
    server = site.serve()

    answers = {
        given: _get(server, site.client(), path, given)
        for given in ("", _basic("wrong"), _basic(_PASSWORD))
        for path in ("/metrics", "/nothing")
    }

    # As exporter-toolkit does, every path is protected, those that do not exist too.
    assert {given: status for given, (status, _) in answers.items()} == {
        "": 401, _basic("wrong"): 401, _basic(_PASSWORD): 404,
    }  # fmt: skip
    assert answers[""][1]["WWW-Authenticate"].startswith("Basic ")
    assert _get(server, site.client(), "/metrics", _basic(_PASSWORD))[0] == 200


def test_a_route_with_a_token_of_its_own_asks_for_that_alone(site: Site) -> None:
    """A header has room for a password or a token, not for both."""
    site.write("basic_auth_users:", f"  alice: {_HASH}")
    server = site.serve()

    statuses = [
        _get(server, site.client(), path, given)[0]
        for path, given in (
            ("/secret", "Bearer t0ken"),
            ("/secret", "Bearer wrong"),
            ("/secret", _basic(_PASSWORD)),
            ("/metrics", "Bearer t0ken"),
        )
    ]

    assert statuses == [200, 401, 401, 401]


def test_a_client_needs_a_certificate_that_its_authority_signed(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    required = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.crt\n"
    site.write(tls=required + "  max_version: TLS12\n")
    server = site.serve()

    assert _get(server, site.client(site.authority.issue("prometheus")))[0] == 200
    for pair in (None, site.stranger.issue("mallory")):
        # With TLS 1.2 the handshake itself fails; with 1.3 the client learns of it after its own.
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _connect(server, site.client(pair)).connect()
    # Who can connect can fail, which must not fill a log.
    assert len([line for line in caplog.messages if line.startswith("no TLS with 127")]) == 1


def test_a_client_needs_one_of_the_allowed_names(site: Site) -> None:
    site.write(
        tls="  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.crt\n"
        "  client_allowed_sans: [prometheus.example]\n"
    )
    server = site.serve()
    good = site.authority.issue("good", names="DNS:a.example,DNS:prometheus.example")
    other = site.authority.issue("other", names="DNS:a.example")

    assert _get(server, site.client(good))[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        _get(server, site.client(other))


def test_a_new_certificate_is_used_and_the_connections_of_the_old_one_stay(site: Site) -> None:
    site.write()
    server = site.serve()
    early = _connect(server, site.client())
    early.request("GET", "/metrics")
    early.getresponse().read()
    early_socket = early.sock

    site.authority.issue("server")
    late = _connect(server, site.client())
    late.connect()

    assert _serial(late) != _serial(early)
    early.request("GET", "/metrics")
    assert early.getresponse().read() == b"up 1\n"
    assert early.sock is early_socket
    for connection in (early, late):
        connection.close()


def test_a_certificate_without_its_key_keeps_the_old_one_and_is_said_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of a renewal is on the disk; the other half follows."""
    site.write()
    server = site.serve()
    certificate, key = (site.file.with_name(f"server.{end}") for end in ("crt", "key"))
    old_key = key.read_bytes()
    site.authority.issue("server")
    new_key = key.read_bytes()
    key.write_bytes(old_key)

    statuses = [_get(server, site.client())[0] for _ in range(3)]
    said = [line for line in caplog.messages if "stays as it was" in line]
    key.write_bytes(new_key)
    os.utime(certificate)
    late = _connect(server, site.client())
    late.connect()
    found = ssl.PEM_cert_to_DER_cert(certificate.read_text())

    assert statuses == [200] * 3
    assert len(said) == 1
    assert "cert_file, key_file: cannot be used" in said[0]
    assert isinstance(late.sock, ssl.SSLSocket)
    assert late.sock.getpeercert(binary_form=True) == found
    late.close()


def test_users_change_while_it_runs_and_a_mistake_changes_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site.write()
    server = site.serve()
    seen = [_get(server, site.client())[0]]

    for lines in (["basic_auth_users:", f"  alice: {_HASH}"], ["basic_auth_users: alice"]):
        site.write(*lines)
        seen += [_get(server, site.client(), "/metrics", given)[0]
                 for given in ("", _basic(_PASSWORD))]  # fmt: skip

    assert seen == [200, 401, 200, 401, 200]
    assert [line.split(":")[0] for line in caplog.messages if "access" in line] == [
        f"access was read anew from {site.file}",
        "access stays as it was",
    ]


_NO_TLS = "basic_auth_users: {alice: %s}" % _HASH  # noqa: UP031 - braces are YAML's


_IF_GIVEN = (
    "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c, "
    "client_auth_type: VerifyClientCertIfGiven}"
)


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("", "has no TLS"),
        (_NO_TLS, "has no TLS"),
        ("tls_server_config: {cert_file: a, key_file: b}", "has no basic_auth_users or Require"),
        (_IF_GIVEN, "has no basic_auth_users or Require"),
    ],
    # The hash has a new salt in each process, and tests are called the same in all.
    ids=["nothing", "a password", "TLS", "TLS and certificates, if given"],
)
def test_other_machines_are_served_with_both_only(tmp_path: Path, text: str, lacking: str) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)

    with pytest.raises(ConfigError, match=lacking):
        open_access("0.0.0.0:9810", web_config_file=str(file), insecure=False)


def test_other_machines_are_served_without_where_that_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(_NO_TLS)

    access = open_access("0.0.0.0:9810", web_config_file=str(file), insecure=True)

    assert not access.keeps_secrets("0.0.0.0:9810")
    assert access.keeps_secrets("127.0.0.1:9810")


def test_protection_is_not_lost_by_a_change(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.write("basic_auth_users:", f"  alice: {_HASH}")
    access = open_access("0.0.0.0:9810", web_config_file=str(site.file), insecure=False)

    site.file.write_text(_NO_TLS)

    assert access.policy().context is not None
    assert "has no TLS" in caplog.text


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda site: site.file.unlink(), "web.yml: cannot be read: No such file"),
        (lambda site: site.write(tls="  client_ca_file: none\n  client_auth_type: "
                                     "RequireAndVerifyClientCert\n"), "client_ca_file: cannot be"),
        (lambda site: site.write(tls="  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n"),
         "cipher_suites: 'TLS_RSA_WITH_RC4_128_SHA' cannot be used"),
        (lambda site: site.file.with_name("server.key").write_text("x"),
         "cert_file, key_file: cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_line(site: Site, break_it: object, said: str) -> None:
    site.write()
    assert callable(break_it)
    break_it(site)

    with pytest.raises(ConfigError) as caught:
        site.serve()

    assert str(caught.value).startswith("[server] web_config_file: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_installed_is_said_with_how_to_install_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("basic_auth_users:", f"  alice: {_HASH}")

    for module in ("bcrypt", "yaml"):
        with monkeypatch.context() as patched:
            patched.setitem(__import__("sys").modules, module, None)
            with pytest.raises(ConfigError, match=r"pip install 'railwatch-agent\[web\]'"):
                site.serve()
