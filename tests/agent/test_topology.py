"""The topology file: which rows are this node's, and what is wrong with them."""

import contextlib
import csv
import doctest
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.sources import topology
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.topology import Neighbor, TopologyFile, names_node, parse_topology

_PLAN = """\
# Rack 7, written from the cable plan.
instance,device,switch,switch_port
node01,mlx5_0,leaf1,Ethernet1/1
node01,mlx5_1,leaf2,Ethernet1/1
node02,mlx5_0,leaf1,Ethernet1/2
"""


def _parse(text: str, host: str = "node01") -> dict[str, Neighbor]:
    return parse_topology(text.splitlines(keepends=True), host)


def test_the_rows_of_this_node_count() -> None:
    assert _parse(_PLAN) == {
        "mlx5_0": Neighbor("leaf1", "Ethernet1/1"),
        "mlx5_1": Neighbor("leaf2", "Ethernet1/1"),
    }


def test_columns_have_any_order_and_others_are_left_alone() -> None:
    text = "rack, switch, device, instance\n7, leaf1, ib0, node01:9810\n"

    assert _parse(text) == {"ib0": Neighbor("leaf1", "")}


@pytest.mark.parametrize(
    ("instance", "host", "same"),
    [
        ("node01", "node01", True),
        ("NODE01", "node01", True),
        ("node01:9810", "node01", True),
        ("node01", "node01.cluster.example", True),
        ("node01.cluster.example", "node01", True),
        ("node01.a.example", "node01.b.example", False),
        ("node1", "node10", False),
        ("", "node01", False),
        ("", "", False),
        ("[2001:db8::1]:9810", "node01", False),
    ],
)
def test_an_instance_names_a_node(instance: str, host: str, *, same: bool) -> None:
    assert names_node(instance, host) is same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column instance, device, switch"),
        ("instance,device,port\n", "no column switch"),
        ("instance,device,switch\nnode01,,leaf1\n", "line 2: device and switch must not be empty"),
        ("instance,device,switch\nnode01,ib0\n", "line 2: device and switch must not be empty"),
        (
            "# plan\ninstance,device,switch\nnode01,ib0,a\n\nnode01.example,ib0,b\n",
            "line 5: 'ib0' has another neighbour already",
        ),
    ],
)
def test_what_is_wrong_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _parse(text)


def test_what_is_wrong_with_other_nodes_is_theirs() -> None:
    text = "instance,device,switch\nnode02,,\nnode01,ib0,leaf1\n"

    assert _parse(text) == {"ib0": Neighbor("leaf1", "")}


_CELL = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(
    str.strip
)


@given(plan=st.dictionaries(_CELL.filter(bool), st.tuples(_CELL.filter(bool), _CELL), max_size=5))
def test_what_csv_can_hold_comes_back(plan: dict[str, tuple[str, str]]) -> None:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["instance", "device", "switch", "switch_port"])
    rows.writerows(["node01", device, *neighbor] for device, neighbor in plan.items())

    assert _parse(text.getvalue()) == {d: Neighbor(*neighbor) for d, neighbor in plan.items()}


@given(text=st.text(st.sampled_from('node01,device,switch\n"#;x\r\0 '), max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError, csv.Error):
        _parse(f"instance,device,switch\n{text}")


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "topology.csv"
    path.write_text(_PLAN)
    file = TopologyFile(path, hostname=lambda: "node02")
    before = file.read()
    same = file.read()
    path.write_text(_PLAN.replace("Ethernet1/2", "Ethernet1/12"))

    assert before == {"mlx5_0": Neighbor("leaf1", "Ethernet1/2")}
    assert same is before
    assert file.read() == {"mlx5_0": Neighbor("leaf1", "Ethernet1/12")}


def test_a_file_that_a_spreadsheet_has_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "topology.csv"
    path.write_bytes(b"\xef\xbb\xbfinstance,device,switch\r\nnode01,ib0,leaf1\r\n")

    assert TopologyFile(path, hostname=lambda: "node01").read() == {"ib0": Neighbor("leaf1", "")}


def test_a_node_that_is_renamed_has_the_rows_of_its_new_name(tmp_path: Path) -> None:
    path = tmp_path / "topology.csv"
    path.write_text(_PLAN)
    names = iter(("node03", "node02"))
    file = TopologyFile(path, hostname=lambda: next(names))

    assert (file.read(), len(file.read())) == ({}, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read .*No such file"), (b"instance\n", "no column"), (b"\xff", "cannot parse")],
    ids=["missing", "wrong", "not text"],
)
def test_a_file_that_cannot_be_used_is_a_fault(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "topology.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SourceError, match=words):
        TopologyFile(path).read()


def test_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(topology) == (0, 1)
