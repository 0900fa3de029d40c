"""The shipped web configurations, and the handbook's commands that make their certificates."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from railwatch.web import open_access
from support.repository import ROOT, WEB_CONFIGS

_SETUP = re.compile(r"^```bash\n(openssl .*?)^```", re.MULTILINE | re.DOTALL)
_EXAMPLES = sorted(path.name for path in WEB_CONFIGS.glob("*.yml"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the handbook's commands were run."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "deploy", site / "deploy")
    (block,) = _SETUP.findall((ROOT / "HANDBOOK.md").read_text(encoding="utf-8"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", block],
        cwd=site,
        env={**os.environ, "PATH": path, "RAILWATCH_AGENT_PATHS_STATE": str(site / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in _EXAMPLES:
        shutil.copy(WEB_CONFIGS / name, site)
    return site


@pytest.mark.parametrize("name", _EXAMPLES)
def test_prometheus_own_check_accepts_the_shipped_examples(site: Path, name: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "web-config", name],
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", _EXAMPLES)
def test_the_shipped_examples_let_other_machines_in(site: Path, name: str) -> None:
    access = open_access("0.0.0.0:9810", web_config_file=str(site / name), insecure=False)

    assert access.policy().config.authenticates
    assert access.keeps_secrets("0.0.0.0:9810")


@pytest.mark.parametrize("name", ["server.crt", "client.crt"])
def test_certificates_of_the_handbook_hold_where_openssl_is_strict(site: Path, name: str) -> None:
    """As it is in Python 3.13, on which an analyzer may run."""
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", name],
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
