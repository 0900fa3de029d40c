# SPDX-License-Identifier: Apache-2.0
"""A frame gathers series in any order into one row a link; what was not said is NaN."""

from __future__ import annotations

import math
from random import Random  # noqa: TC003 - hypothesis looks at it

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railwatch.catalogue.node import AGENT_WINDOW_END, AGENT_WINDOW_SECONDS
from railwatch.catalogue.rail import RAIL_FAULTS, RAIL_TRANSMIT_BYTES, RAIL_UP, Fault
from railwatch_analyzer.frame import (
    COLUMNS,
    FETCHED,
    JOB_INFO,
    NEIGHBOR_INFO,
    POSITION,
    Frame,
    FrameBuilder,
    Link,
    column,
    columns,
)

_LABELS = {"rail": "0", "device": "mlx5_0"}
_NOW = 1_700_000_000.0


def _builder() -> FrameBuilder:
    return FrameBuilder(time=_NOW, interval_seconds=5.0)


def test_a_column_is_the_metric_without_its_prefix_and_with_its_kind() -> None:
    assert column(RAIL_UP) == "up"
    assert column(RAIL_FAULTS, Fault.RETRANSMIT) == "faults_total_retransmit"


def test_every_family_that_is_fetched_has_a_place() -> None:
    """Rail metrics fill the cells; what an agent says of its windows holds for all its rows."""
    rail = [spec for spec in FETCHED if spec not in (AGENT_WINDOW_END, AGENT_WINDOW_SECONDS)]

    assert {name for spec in rail for name in columns(spec)} == set(COLUMNS)
    assert len(COLUMNS) == len(POSITION)


def test_cells_that_nobody_filled_are_unknown() -> None:
    builder = _builder()
    builder.add("node-1", RAIL_UP.name, _LABELS, 0.0, _NOW - 1)

    frame = builder.build()

    assert frame.links == (Link("node-1", "0", "mlx5_0"),)
    assert frame["up"].tolist() == [0.0]
    assert np.isnan(np.delete(frame.values, POSITION["up"], axis=1)).all()
    assert math.isnan(frame.window_end[0])
    assert (frame.job_id, frame.switch) == (("",), ("",))


def test_each_kind_of_fault_has_its_own_cell_and_an_unknown_kind_none() -> None:
    builder = _builder()
    for number, kind in enumerate(Fault):
        builder.add("n", RAIL_FAULTS.name, {**_LABELS, "kind": kind}, float(number), _NOW)
    builder.add("n", RAIL_FAULTS.name, {**_LABELS, "kind": "of_a_later_version"}, 99.0, _NOW)

    frame = builder.build()

    found = [frame[column(RAIL_FAULTS, kind)][0] for kind in Fault]
    assert found == list(range(len(Fault)))
    assert 99.0 not in frame.values


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("railwatch_gpu_power_watts", {"gpu": "0"}),
        ("railwatch_rail_of_a_later_version", _LABELS),
        ("railwatch_rail_info", {**_LABELS, "netdev": "eth0"}),
        (JOB_INFO, {**_LABELS, "job_id": "4242"}),
        (NEIGHBOR_INFO, {**_LABELS, "switch": "leaf-1"}),
    ],
)
def test_what_fills_no_cell_makes_no_row(name: str, labels: dict[str, str]) -> None:
    builder = _builder()
    builder.add("node-1", name, labels, 1.0, _NOW)

    assert builder.build().links == ()


def test_a_row_has_the_names_of_its_own_link() -> None:
    builder = _builder()
    for rail in ("0", "1"):
        builder.add("n", RAIL_UP.name, {"rail": rail, "device": "d"}, 1.0, _NOW)
    builder.add("n", JOB_INFO, {"rail": "1", "device": "d", "job_id": "4242"}, 1.0, _NOW)
    builder.add("n", NEIGHBOR_INFO, {"rail": "0", "device": "d", "switch": "leaf-1"}, 1.0, _NOW)

    frame = builder.build()

    assert frame.job_id == ("", "4242")
    assert frame.switch == ("leaf-1", "")


@pytest.mark.parametrize("order", [1, -1], ids=["counter last", "counter first"])
def test_a_row_was_sampled_when_its_bytes_were(order: int) -> None:
    builder = _builder()
    for name, age in [(RAIL_UP.name, 1.0), (RAIL_TRANSMIT_BYTES.name, 3.0)][::order]:
        builder.add("node-1", name, _LABELS, 1.0, _NOW - age)

    assert builder.build().sampled_at.tolist() == [_NOW - 3.0]


def test_windows_end_where_the_node_says() -> None:
    builder = _builder()
    for node, end in (("a", _NOW - 2), ("b", _NOW - 4)):
        builder.add(node, RAIL_UP.name, _LABELS, 1.0, _NOW)
        builder.add(node, AGENT_WINDOW_END.name, {}, end, _NOW)
        builder.add(node, AGENT_WINDOW_SECONDS.name, {}, 10.0, _NOW)

    frame = builder.build()

    assert frame.window_end.tolist() == [_NOW - 2, _NOW - 4]
    assert frame.window_seconds == 10.0


def test_an_empty_frame_has_all_columns_and_no_rows() -> None:
    frame = _builder().build(missed=("node-1",))

    assert frame.values.shape == (0, len(COLUMNS))
    assert frame["up"].shape == frame.sampled_at.shape == frame.window_end.shape == (0,)
    assert frame.missed == ("node-1",)


_CELLS = st.dictionaries(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("01"),
        st.sampled_from([RAIL_UP.name, RAIL_TRANSMIT_BYTES.name]),
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(deadline=None)
@given(cells=_CELLS, random=st.randoms(use_true_random=False))
def test_the_order_of_series_does_not_matter(
    cells: dict[tuple[str, str, str], float],
    random: Random,
) -> None:
    shuffled = list(cells.items())
    random.shuffle(shuffled)
    one, other = _filled(list(cells.items())), _filled(shuffled)

    assert one.links == other.links == tuple(sorted(one.links))
    np.testing.assert_array_equal(one.values, other.values)
    for (node, rail, name), value in cells.items():
        row = one.links.index(Link(node, rail, "d"))
        assert one[name.removeprefix("railwatch_rail_")][row] == value


def _filled(cells: list[tuple[tuple[str, str, str], float]]) -> Frame:
    builder = _builder()
    for (node, rail, name), value in cells:
        builder.add(node, name, {"rail": rail, "device": "d"}, value, _NOW)
    return builder.build()


def test_a_node_has_one_voice_about_a_rail() -> None:
    """Several devices on one rail would be so many votes among the rail's peers."""
    builder = FrameBuilder(1000.0, 5.0)
    for device, sampled_at in (("a", 990.0), ("z", 980.0), ("b", 995.0)):
        builder.add("n", "railwatch_rail_up", {"rail": "0", "device": device}, 1.0, sampled_at)
    builder.add("n", "railwatch_rail_up", {"rail": "1", "device": "a"}, 1.0, 980.0)

    frame = builder.build()

    assert frame.links == (Link("n", "0", "b"), Link("n", "1", "a"))


def test_a_node_has_one_voice_about_the_length_of_windows() -> None:
    builder = FrameBuilder(1000.0, 5.0)
    for node in ("a", "b", "c"):
        builder.add(node, "railwatch_agent_window_seconds", {}, 5.0, 999.0)
    for number in range(100):
        builder.add("liar", "railwatch_agent_window_seconds", {"x": str(number)}, 300.0, 999.0)

    assert builder.build().window_seconds == 5.0


@pytest.mark.parametrize(("end", "known"), [(1030.0, True), (1e9, False), (math.inf, False)])
def test_a_window_that_has_yet_to_end_is_unknown(end: float, *, known: bool) -> None:
    builder = FrameBuilder(1000.0, 5.0)
    builder.add("n", "railwatch_rail_up", {"rail": "0", "device": "a"}, 1.0, 999.0)
    builder.add("n", "railwatch_agent_window_end_timestamp_seconds", {}, end, 999.0)

    assert np.isfinite(builder.build().window_end[0]) == known
