"""The web configuration file: exporter-toolkit's format, and what is said of mistakes in it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch.settings import ConfigError
from railwatch.web.web_config import WebConfig, parse_web_config, read_web_config

_HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
_FULL = f"""
tls_server_config:
  cert_file: server.crt
  key_file: /keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example]
  min_version: TLS13
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: ""
basic_auth_users:
  key: {_HASH}
"""
_TLS = "tls_server_config: {cert_file: a, key_file: b, %s}"


def test_a_full_file_is_read_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(_FULL)

    config = read_web_config(file)

    assert config.tls is not None
    assert config.tls.cert_file == str(tmp_path / "server.crt")
    assert config.tls.key_file == "/keys/server.key"
    assert config.tls.client_ca_file == str(tmp_path / "ca.crt")
    assert config.tls.client_allowed_sans == ("prometheus.example",)
    assert config.headers == (("X-Frame-Options", "deny"),)
    # A user may have any name, that of another key too.
    assert config.users == {"key": _HASH.encode()}
    assert config.authenticates
    assert _HASH not in repr(config)


@pytest.mark.parametrize(
    "text", ["", "tls_server_config:", "basic_auth_users: {}", "http_server_config:\n  headers:\n"]
)
def test_a_file_that_asks_for_nothing_admits_everybody(text: str) -> None:
    config = parse_web_config(text.encode())

    assert config == WebConfig()
    assert not config.authenticates


_MISTAKES = {
    "basic_auth_user: {}": "unknown key; the nearest known one is 'basic_auth_users'",
    "tls_server_config: {cert: x}": "cert: only cert_file can be used here",
    "rate_limit: {burst: 1}": "rate_limit: connections and failed passwords are limited",
    "tls_server_config: {cert_files: x}": "[tls_server_config] cert_files: unknown key",
    "tls_server_config: {cert_file: x}": "cert_file and key_file: both are needed",
    _TLS % "client_auth_type: RequireAnyClientCert": "client_auth_type: must be one of",
    _TLS % "client_auth_type: RequireAndVerifyClientCert": "client_ca_file: is missing",
    _TLS % "client_ca_file: c": "client_auth_type: client_ca_file is of no use",
    _TLS % "client_allowed_sans: [x]": "client_allowed_sans: needs RequireAndVerifyClientCert",
    _TLS % "min_version: TLS10": "min_version: must be one of TLS12, TLS13, got 'TLS10'",
    _TLS % "min_version: TLS13, max_version: TLS12": "min_version: must not be newer",
    _TLS % "prefer_server_cipher_suites: 1": "expected true or false, got 1",
    "http_server_config: {headers: {X-Frame: deny}}": "the nearest known one is 'X-Frame-Options'",
    "http_server_config: {headers: {X-Frame-Options: x}}": "must be one of deny, sameorigin",
    'http_server_config: {headers: {X-XSS-Protection: "a\\nb"}}': "expected one line of ASCII",
    "basic_auth_users: {alice: secret}": "'alice' has no bcrypt hash",
    f"basic_auth_users: {{alice: {_HASH.replace('$10$', '$31$')}}}": "cost 31; 4 to 16",
    "basic_auth_users: [alice]": "basic_auth_users: expected a mapping",
    "- a": "the file: expected a mapping",
    "a: [": "not YAML in line 1: ",
    "1: x": "1: unknown key",
    "x" * 70_000: "is larger than 65536 bytes",
}


@pytest.mark.parametrize(("text", "said"), _MISTAKES.items())
def test_a_mistake_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_web_config(text.encode())

    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_line_that_is_no_yaml_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users:\n  alice: {_HASH}: [\n")

    with pytest.raises(ConfigError) as caught:
        read_web_config(file)

    assert _HASH not in str(caught.value)
    assert str(caught.value).startswith(f"{file}: not YAML in line 2: ")


_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
_KEYS = st.sampled_from(
    ["tls_server_config", "http_server_config", "headers", "basic_auth_users", "cert_file",
     "key_file", "client_auth_type", "cipher_suites", "min_version", "X-Frame-Options"]
) | st.text(max_size=8)  # fmt: skip
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | _TREES.map(lambda tree: repr(tree).encode()))
def test_whatever_a_file_holds_is_a_configuration_or_one_error(content: bytes) -> None:
    """A Python literal of lists, mappings and texts is close enough to YAML to get far."""
    try:
        config = parse_web_config(content)
    except ConfigError:
        return

    assert isinstance(config, WebConfig)
