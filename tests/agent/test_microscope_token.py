"""Over what the microscope's token may travel."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from railwatch.web import Access
from railwatch_agent.cli import _routes
from railwatch_agent.microscope_routes import PATH
from railwatch_agent.settings import AgentSettings, MicroscopeSettings, ServerSettings


@pytest.mark.parametrize(("listen", "offered"), [("127.0.0.1:9810", True), ("0.0.0.0:9810", False)])
def test_there_is_no_microscope_on_a_public_address_without_tls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, listen: str, *, offered: bool
) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    settings = AgentSettings(
        server=ServerSettings(listen=listen, insecure=True),
        microscope=MicroscopeSettings(token_file=str(token)),
    )
    agent = SimpleNamespace(microscope=None)

    routes = _routes(agent, settings, Access())  # type: ignore[arg-type]

    assert (PATH in routes) is offered
    assert ("could be read on the way" in caplog.text) is not offered
