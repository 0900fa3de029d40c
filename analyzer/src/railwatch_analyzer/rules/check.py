# SPDX-License-Identifier: Apache-2.0
"""Holds files of rules against the catalogue: an alert on a name of nobody never fires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import PREFIX
from railwatch.settings import ConfigError
from railwatch_analyzer.rules.promql import Reading, reading, template_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# What the names begin with of series that rules record.
_RECORDED = "railwatch:"
_TARGET = frozenset({"job", "instance"})


def faults(files: Sequence[Path], node_label: str = "") -> list[str]:
    """Return a line for each name or label of ours in *files* that does not exist.

    Raises
    ------
    ConfigError
        A file cannot be read, or is not one of rules.
    """
    rules = [(file, rule) for file in files for rule in _rules(file)]
    recorded = {str(rule["record"]) for _, rule in rules if "record" in rule}
    target = _TARGET | {node_label} - {""}
    known = {
        name: target | frozenset(labels)
        for spec in METRICS
        for name, labels in spec.series_labels.items()
    }
    lines = [
        f"{file}: {rule.get('alert', rule.get('record'))}: {fault}"
        for file, rule in rules
        for expression in _expressions(rule)
        for fault in _faults(reading(expression), known, recorded)
    ]
    return list(dict.fromkeys(lines))


def _faults(
    read: Reading, known: Mapping[str, frozenset[str]], recorded: set[str]
) -> Iterator[str]:
    for selector in read.selectors:
        if selector.name.startswith(_RECORDED) and selector.name not in recorded:
            yield f"no rule of these files records {selector.name}"
        if not selector.name.startswith(PREFIX):
            continue
        if selector.name not in known:
            yield f"no metric is called {selector.name}"
            continue
        for label in selector.labels:
            if label not in known[selector.name]:
                yield f"{selector.name} has no label {label}"
    ours = [selector.name for selector in read.selectors if selector.name in known]
    for label in read.listed if ours else ():
        # A join may list labels of one side only, or those that label_replace is told to make.
        if not any(label in known[name] for name in ours) and label not in read.strings:
            yield f"none of {', '.join(dict.fromkeys(ours))} has the label {label}"


def _expressions(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield the expression of *rule*, and those that its annotations ask."""
    yield str(rule.get("expr", ""))
    for text in (rule.get("annotations") or {}).values():
        yield from template_queries(str(text))


def _rules(file: Path) -> list[dict[str, Any]]:
    try:
        import yaml  # noqa: PLC0415 - an extra of the agent, needed for this only
    except ImportError as exc:
        raise ConfigError("--rules needs PyYAML: pip install 'railwatch-agent[web]'") from exc
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{file}: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: not YAML: {exc}") from exc
    try:
        return [rule for group in content["groups"] for rule in group["rules"] if rule.keys()]
    except (TypeError, KeyError, AttributeError) as exc:
        raise ConfigError(f"{file}: not a file of rules: `groups` of `rules` expected") from exc
