"""How a report is shown: a table for people, and JSON for programs."""

import json
from dataclasses import fields

import pytest

from railwatch_agent.doctor import machine_readable
from railwatch_agent.doctor.examination import Examination
from railwatch_agent.doctor.findings import Finding, Section, Status
from railwatch_agent.doctor.machine_readable import render_json
from railwatch_agent.doctor.table import render_table

_FAULTS = "railwatch_rail_faults_total"
_EXAMINATION = Examination(
    "1.2.3",
    "gpu-017",
    rails=3,
    watched=2,
    findings=(
        Finding(Section.NODE, "kernel", Status.OK, "6.1.0"),
        Finding(
            Section.PERMISSIONS, "module EEPROM", Status.DENIED, "optical power", "CAP_NET_ADMIN"
        ),
        *(Finding(Section.SOURCES, "bytes", Status.OK, "rx_bytes", rail=n) for n in (0, 1)),
        Finding(Section.SOURCES, "bytes", Status.FAILED, "Input/output error (EIO)", rail=3),
        *(
            Finding(Section.METRICS, what, Status.OK, rail=n, values=values, source=what)
            for n in (0, 1, 3)
            for what, values in (("railwatch_rail_up", ()), (_FAULTS, ("retransmit",)))
        ),
    ),
)


def test_rails_that_are_alike_share_a_line_and_so_do_things_without_a_remark() -> None:
    assert render_table(_EXAMINATION, 100) == (
        "railwatch-agent 1.2.3 on gpu-017\n\n"
        "node\n"
        "  ok       kernel: 6.1.0\n\n"
        "permissions\n"
        "  denied   module EEPROM: optical power -> CAP_NET_ADMIN\n\n"
        "sources\n"
        "  ok       0-1  bytes: rx_bytes\n"
        "  failed   3    bytes: Input/output error (EIO)\n\n"
        "metrics\n"
        "  ok       0-1,3  rail_up, rail_faults_total (retransmit)\n\n"
        "2 of 3 rails can be watched; 1 failed; 1 denied\n"
    )


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_a_table_keeps_to_its_width(width: int) -> None:
    """Below sixty columns it would be a column of syllables."""
    lines = render_table(_EXAMINATION, width).splitlines()

    assert max(map(len, lines)) <= max(width, 60)


def test_json_says_all_that_was_found() -> None:
    report = json.loads(render_json(_EXAMINATION))

    assert {k: v for k, v in report.items() if k != "findings"} == {
        "format": 1,
        "version": "1.2.3",
        "node": "gpu-017",
        "rails": 3,
        "watched": 2,
    }
    assert report["findings"][1] == {
        "section": "permissions",
        "what": "module EEPROM",
        "status": "denied",
        "detail": "optical power",
        "change": "CAP_NET_ADMIN",
        "rail": None,
        "values": [],
        "source": "",
    }
    assert report["findings"][-1]["values"] == ["retransmit"]


def test_every_key_of_the_json_and_every_word_in_it_is_documented() -> None:
    text = machine_readable.__doc__ or ""
    words = [f'"{field.name}"' for kind in (Examination, Finding) for field in fields(kind)]

    assert [word for word in [*words, *Status, *Section] if word not in text] == []
