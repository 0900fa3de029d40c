"""RDMA ports of all drivers, on scenario trees: what is exposed, and what each trap costs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rdma_node import Alone, RdmaNode
from agent.trees import Tree, scenario
from agent.unpack import TESTDATA
from railwatch.catalogue.rail import (
    RAIL_ADMIN_UP,
    RAIL_CONGESTION,
    RAIL_CREDIT_WAIT,
    RAIL_FAULTS,
    RAIL_RECEIVE_PACKETS,
    RAIL_SPEED,
    RAIL_UP,
    RDMA_COUNTER,
)
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.infiniband import (
    parse_code,
    parse_link_layer,
    parse_rate,
    read_ports,
)


@given(text=st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_code, parse_rate):
        try:
            parse(text)
        except ValueError:
            continue
    parse_link_layer(text)


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("100 Gb/sec (4X EDR)", 12.5e9),
        ("2.5 Gb/sec (1X SDR)", 312.5e6),
        ("800 Gb/sec (8X NDR)", 100e9),
        ("50 Gb/sec (1X HDR)", 6.25e9),
    ],
)
def test_a_rate_is_bytes_per_second_whatever_the_width(text: str, speed: float) -> None:
    assert parse_rate(text) == speed


def test_a_machine_without_rdma_has_no_ports(tmp_path: Path) -> None:
    assert read_ports(Tree(tmp_path).sysfs) == []


def test_roce_is_the_sum_of_rdma_and_tcp(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    node.rails()

    assert node.sample() == (4_000 + 500, 8_000 + 600)
    assert node.values(RAIL_RECEIVE_PACKETS) == {(): 35}


def test_faults_and_congestion_of_a_degraded_roce_rail(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_roce_degraded", tmp_path / "node"))

    assert node.values(RAIL_FAULTS) == {
        ("link_downed",): 0,
        ("receive_error",): 0,
        ("receive_discard",): 2 + 1,
        ("transmit_discard",): 0,
        ("retransmit",): 20 + 3 + 100,
        ("ack_timeout",): 4,
        ("out_of_sequence",): 50,
        ("rnr_nak",): 6,
        ("icrc_error",): 7,
    }
    congestion = {("ecn_marked",): 8, ("cnp_sent",): 9, ("cnp_handled",): 10}
    assert node.values(RAIL_CONGESTION) == congestion
    assert node.values(RAIL_CREDIT_WAIT) == {}


def test_the_link_of_infiniband_is_told_by_its_port(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_infiniband", tmp_path / "node"))
    faults = node.values(RAIL_FAULTS)

    kinds = ("link_downed", "link_recovery", "symbol_error", "receive_error", "transmit_discard")
    assert [faults[kind,] for kind in kinds] == [7, 6, 5, 4, 3]
    assert node.values(RAIL_CREDIT_WAIT) == {(): 99}
    assert node.values(RAIL_SPEED) == {(): 50e9}


@pytest.mark.parametrize(
    ("state", "physical", "up", "wanted"),
    [
        ("4: ACTIVE", "5: LinkUp", 1, 1),
        ("2: INIT", "5: LinkUp", 0, 1),
        ("1: DOWN", "2: Polling", 0, 1),
        ("1: DOWN", "3: Disabled", 0, 0),
        pytest.param("9: LATER", "8: LATER", 0, 1, id="states of a later kernel"),
    ],
)
def test_an_infiniband_rail_is_up_when_its_port_is_active(
    tmp_path: Path, state: str, physical: str, up: int, wanted: int
) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_infiniband", tmp_path / "node"))
    node.rails()
    port = node.tree.sysfs / "class" / "infiniband" / "mlx5_0" / "ports" / "1"
    (port / "state").write_text(f"{state}\n")
    (port / "phys_state").write_text(f"{physical}\n")

    assert (node.values(RAIL_UP), node.values(RAIL_ADMIN_UP)) == ({(): up}, {(): wanted})
    assert (node.values(RAIL_SPEED) == {}) is (up == 0)


def test_a_roce_rail_needs_its_carrier_and_its_port(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    before = node.values(RAIL_UP)
    port = node.tree.sysfs / "class" / "infiniband" / "mlx5_0" / "ports" / "1"
    (port / "state").write_text("1: DOWN\n")

    assert (before, node.values(RAIL_UP)) == ({(): 1}, {(): 0})


def test_a_state_without_a_code_costs_that_reading(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("mlx5_infiniband", tmp_path / "node"))
    node.rails()
    port = node.tree.sysfs / "class" / "infiniband" / "mlx5_0" / "ports" / "1"
    (port / "state").write_text("nonsense\n")

    assert node.values(RAIL_UP) == {}
    assert node.values(RAIL_ADMIN_UP) == {(): 1}


class _Failing(Alone):
    """A driver that answers EIO for one counter."""

    def read(self) -> int | None:
        """Raise for it, read the others."""
        if self.path.endswith("packet_seq_err"):
            raise SourceError("Input/output error")
        return super().read()


def test_a_part_of_a_sum_that_fails_for_a_while_makes_no_fall_and_no_burst(tmp_path: Path) -> None:
    is_failing = [False]

    class Flaky(_Failing):
        def read(self) -> int | None:
            return super().read() if is_failing[0] else Alone.read(self)

    node = RdmaNode(tmp_path, scenario("mlx5_roce_degraded", tmp_path / "node"), open_counter=Flaky)
    found = [node.values(RAIL_FAULTS)[("retransmit",)]]
    is_failing[0] = True
    node.tree.count_rdma("mlx5_0", packet_seq_err=25, implied_nak_seq_err=4)
    found.append(node.values(RAIL_FAULTS)[("retransmit",)])
    is_failing[0] = False
    found.append(node.values(RAIL_FAULTS)[("retransmit",)])

    assert found == [123, 124, 129]


def test_a_counter_whose_read_is_slow_backs_off_and_the_others_do_not(tmp_path: Path) -> None:
    """5 ms, as where the driver asks its firmware: each ten seconds is enough."""
    reads = dict.fromkeys(("packet_seq_err", "local_ack_timeout_err"), 0)

    class Slow(Alone):
        def read(self) -> int | None:
            name = Path(self.path).name
            if name in reads:
                reads[name] += 1
            if name == "packet_seq_err":
                node.clock.advance(0.005)
            return super().read()

    node = RdmaNode(tmp_path, scenario("mlx5_roce_degraded", tmp_path / "node"), open_counter=Slow)
    for _ in range(60):
        node.round()

    assert reads["local_ack_timeout_err"] == 60
    # Three times in a row, then each tenth second.
    assert 7 <= reads["packet_seq_err"] <= 9
    assert node.values(RAIL_FAULTS)[("retransmit",)] == 123


def test_a_device_that_is_registered_anew_begins_anew(tmp_path: Path) -> None:
    """A reload of the driver: all counters at 0, under the same names."""
    node = RdmaNode(tmp_path, scenario("driver_reload", tmp_path / "node"))
    before = node.values(RAIL_FAULTS)["ack_timeout",], node.sample()
    node.tree.apply((TESTDATA / "driver_reload" / "after.tree").read_text())
    after = node.values(RAIL_FAULTS)["ack_timeout",], node.sample()

    assert (before, after) == ((4, (4_500, 8_600)), (0, (0, 0)))


def test_counters_at_the_device_are_found(tmp_path: Path) -> None:
    node = RdmaNode(tmp_path, scenario("hfi1", tmp_path / "node"))
    faults = node.values(RAIL_FAULTS)

    assert (faults["ack_timeout",], faults["retransmit",]) == (3, 1)


def test_vendor_counters_are_those_that_are_allowed(tmp_path: Path) -> None:
    tree = scenario("irdma", tmp_path / "node")
    none = RdmaNode(tmp_path, tree).round()
    node = RdmaNode(tmp_path, tree, allowed=("cnpSent", "not_here"))
    found = {s.labels: s.value for s in node.round() if s.spec is RDMA_COUNTER}

    assert not [s for s in none if s.spec is RDMA_COUNTER]
    assert found == {("irdma0", "1", "cnpSent"): 6}


def test_a_list_that_changes_leaves_sums_alone(tmp_path: Path) -> None:
    """One part of a sum was reset: a sum that began anew would forget what it had counted."""
    tree = scenario("mlx5_roce_degraded", tmp_path / "node")
    node = RdmaNode(tmp_path, tree)
    before = node.values(RAIL_FAULTS)["retransmit",]
    tree.count_rdma("mlx5_0", packet_seq_err=0)
    after_reset = node.values(RAIL_FAULTS)["retransmit",]

    node.allowed = ("roce_adp_retrans",)
    retransmits = node.values(RAIL_FAULTS)["retransmit",]
    node.allowed = ()

    assert before == after_reset == retransmits
    assert not [s for s in node.round() if s.spec is RDMA_COUNTER]
