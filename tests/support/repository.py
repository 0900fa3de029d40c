"""Where the shipped files are that the tests run instead of copies of them."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS_CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
RULES = DEPLOY / "prometheus" / "rules"
RULE_TESTS = DEPLOY / "prometheus" / "tests"
COMPATIBILITY = DEPLOY / "prometheus" / "compatibility"
ALERTMANAGER_CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
WEB_CONFIGS = DEPLOY / "web"
RUNBOOK = DEPLOY / "RUNBOOK.md"
