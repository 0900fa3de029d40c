"""Writes the files that are generated from code, or checks that they are up to date.

`python tests/golden.py [--check]`
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from railwatch.reference import configuration_page, metrics_page
from railwatch.sample_file import sample_file
from railwatch_agent.settings import AgentSettings
from railwatch_analyzer.settings import AnalyzerSettings

ROOT = Path(__file__).parent.parent
_RULES = ROOT / "deploy" / "prometheus" / "rules"


def generated() -> dict[str, str]:
    """Return what each generated file should hold, by its path in the repository."""
    files = {"agent.toml": AgentSettings, "analyzer.toml": AnalyzerSettings}
    return {
        "METRICS.md": metrics_page(),
        "CONFIGURATION.md": configuration_page(files),
        **{f"deploy/{name}": sample_file(name, schema) for name, schema in files.items()},
        "deploy/kubernetes/prometheus-rules.yaml": _prometheus_rule(),
    }


def _prometheus_rule() -> str:
    """Return the shipped rules as an object of the Prometheus Operator."""
    files = sorted(_RULES.glob("*.yml"))
    contents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "railwatch", "namespace": "railwatch"},
        "spec": {"groups": [group for content in contents for group in content["groups"]]},
    }
    head = "# Generated from deploy/prometheus/rules by `make golden`, which says what it means.\n"
    return head + yaml.safe_dump(resource, sort_keys=False, width=100)


def main() -> int:
    """Write, or with --check compare."""
    stale = []
    for name, text in generated().items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        state = "is not what the code says; run make golden" if "--check" in sys.argv else "written"
        sys.stdout.write(f"{name} {state}\n")
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
