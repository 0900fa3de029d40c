"""Traps that cost the users of other exporters, each as what happens here.

Their numbers are those of the project's list. Those about alert rules (4, 6 and 7) are in
tests/contract; of what the agent does not read yet there is nothing to trap.
"""

from pathlib import Path

import pytest

from agent import drivers
from agent.job_node import JobNode
from agent.marked_jobs import MarkedJobs
from agent.rdma_node import Alone, RdmaNode
from agent.trees import scenario
from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import MetricType, Sample, Scope
from railwatch.catalogue.rail import (
    RAIL_FAULTS,
    RAIL_PCIE_STALLED,
    RAIL_PRESENT,
    RAIL_SPEED,
    RAIL_UP,
)
from railwatch.catalogue.step import STEP_PERIOD
from railwatch_agent.collectors.ethtool_tables import TABLES
from railwatch_agent.inventory import SETTLE_SECONDS, read_machine, take_stock
from railwatch_agent.numbering import Book
from railwatch_agent.settings import RailSettings

_JOBS = {Scope.JOB, Scope.GPU_JOB, Scope.FLEET_JOB}
_PORT = "class/infiniband/mlx5_0/ports/1"


@pytest.mark.parametrize(
    ("rate", "speed"),
    [
        ("2.5 Gb/sec (1X SDR)", 312.5e6),
        ("50 Gb/sec (2X EDR)", 6.25e9),
        ("400 Gb/sec (4X NDR)", 50e9),
        ("1200 Gb/sec (12X NDR)", 150e9),
    ],
)
def test_trap_1_words_are_four_bytes_whatever_the_width(
    tmp_path: Path, rate: str, speed: float
) -> None:
    """Taken for bytes, or multiplied by the lanes of the link. IP over InfiniBand is within."""
    node = RdmaNode(tmp_path, scenario("mlx5_infiniband", tmp_path / "node"))
    (node.tree.sysfs / _PORT / "rate").write_text(f"{rate}\n")
    node.rails()

    assert node.sample() == (4_000, 8_000)
    assert node.values(RAIL_SPEED) == {(): speed}


@pytest.mark.parametrize(("name", "failures"), [("counter_eisdir", 1), ("counter_einval", 0)])
def test_trap_2_one_unreadable_counter_costs_one_series(
    tmp_path: Path, name: str, failures: int
) -> None:
    """It lost all counters of the node. EINVAL is how a driver says that it keeps none."""
    whole = RdmaNode(tmp_path / "1", scenario("mlx5_infiniband", tmp_path / "whole"))
    broken = RdmaNode(tmp_path / "2", scenario(name, tmp_path / "broken"))
    series = [{(s.spec, s.labels) for s in node.round()} for node in (whole, broken)]

    assert series[0] - series[1] == {(RAIL_FAULTS, ("0", "mlx5_0", "symbol_error"))}
    assert series[1] <= series[0]
    assert broken.failures() == failures


def test_trap_3_a_nic_that_died_shows_no_last_good_number(tmp_path: Path) -> None:
    """Gauges that nobody sets any more read as health."""
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    alive = {s.spec for s in node.round() if s.spec.scope is Scope.RAIL}
    node.tree.remove("rail0")
    dead = [s for s in node.round() if s.spec.scope is Scope.RAIL]

    gauges = {s.spec: s.value for s in dead if s.spec.type is MetricType.GAUGE}
    assert gauges == {RAIL_PRESENT: 0, RAIL_UP: 0}
    assert len(alive) > 10
    assert [s.spec for s in dead if s.spec.type is MetricType.COUNTER] == []


def test_trap_3_counters_are_read_without_a_scrape(tmp_path: Path) -> None:
    """Values in hw_counters do not refresh unless read; here each round reads, scraped or not."""
    node = RdmaNode(tmp_path, scenario("mlx5_roce", tmp_path / "node"))
    before = node.values(RAIL_FAULTS)["rnr_nak",]
    node.tree.count_rdma("mlx5_0", rnr_nak_retry_err=5)
    for duty in node:
        duty.run_round()
    samples = [s for duty in node for s in duty.samples() if "rnr_nak" in s.labels]

    assert (before, [s.value for s in samples]) == (0, [5])


def test_trap_5_planes_and_subfunctions_are_no_rails_of_their_own(tmp_path: Path) -> None:
    """Four planes of one port, taken for ports, paged for what they never were."""
    node = RdmaNode(tmp_path, scenario("mlx5_four_planes", tmp_path / "node"))

    assert [rail.device for rail in node.rails()] == ["mlx5_0"]
    assert node.sample() == (4_000, 8_000)


def test_trap_5_a_port_that_was_never_up_is_no_rail_and_has_a_number(tmp_path: Path) -> None:
    """Unused ports page nobody; and with a cable, rail 2 is what it is on all nodes."""
    node = RdmaNode(tmp_path, scenario("unused_port", tmp_path / "node"))
    unused = [(r.number, r.device) for r in node.rails()]
    node.clock.advance(SETTLE_SECONDS)
    node.rails()
    port = node.tree.sysfs / "class" / "infiniband" / "mlx5_1" / "ports" / "1"
    (port / "state").write_text("4: ACTIVE\n")
    cabled = [(r.number, r.device) for r in node.rails()]
    (port / "state").write_text("1: DOWN\n")
    again = [(r.number, r.device) for r in node.rails()]

    assert unused == [(0, "mlx5_0"), (2, "mlx5_2")]
    assert cabled == again == [(0, "mlx5_0"), (1, "mlx5_1"), (2, "mlx5_2")]
    assert node.values(RAIL_UP, 1) == {(): 0}


def test_trap_5_the_operator_can_pin_what_is_a_rail(tmp_path: Path) -> None:
    tree = scenario("unused_port", tmp_path)
    pinned = (RailSettings("mlx5_1"), RailSettings("mlx5_0", 7))
    machine = read_machine(tree.sysfs, Book(), pinned, None)
    _, rails = take_stock(Book(), machine, pinned)

    assert [(r.number, r.device) for r in rails] == [(0, "mlx5_1"), (7, "mlx5_0")]


def test_trap_6_what_fec_corrects_counts_as_no_fault() -> None:
    """Corrected bits are routine on PAM4; of a driver's statistics none of them is a fault."""
    calm, busy = drivers.mlx5(), drivers.mlx5() | {"rx_corrected_bits_phy": 10**15}
    faults = [rule for rule in TABLES["mlx5_core"] if rule.spec is RAIL_FAULTS]

    assert faults
    assert [rule.value(calm) for rule in faults] == [rule.value(busy) for rule in faults]


def test_trap_8_a_job_multiplies_no_series_of_rails_or_gpus() -> None:
    """Its identity is an info metric, joined where it is wanted; what is its own is a handful."""
    labelled = [spec for spec in METRICS if {"job_id", "user", "partition"} & {*spec.labels}]
    of_hardware = [s.name for s in labelled if s.scope not in _JOBS and s.type != MetricType.INFO]
    of_nodes_jobs = sum(spec.series for spec in labelled if spec.scope is Scope.JOB)

    assert of_hardware == []
    assert of_nodes_jobs <= 16


def test_trap_8_a_job_gives_way_to_the_next_and_leaves_no_series_behind(tmp_path: Path) -> None:
    """Job labels on every series kept those of all jobs that a node ever had."""
    node = JobNode(tmp_path)
    seen = []
    for job in range(1000, 1040):
        node.write_map("job", f"job_id={job}\n")
        samples = [reading for reading in node.readings() if isinstance(reading, Sample)]
        seen.append((len(samples), {sample.labels[-1] for sample in samples[1:]}))

    assert seen == [(1 + len(node.rails), {str(job)}) for job in range(1000, 1040)]


class _Noted(Alone):
    """Notes each time that a file is opened or read."""

    reads: list[str]

    def read_bytes(self) -> bytes | None:
        """Note the file, then read it."""
        self.reads.append(Path(self.path).name)
        return super().read_bytes()


def test_trap_10_a_counter_that_the_driver_refuses_is_read_once_until_it_is_enumerated_anew(
    tmp_path: Path,
) -> None:
    """On restricted functions each attempt writes a line into the kernel's log."""
    reads: list[str] = []
    made = type("_Made", (_Noted,), {"reads": reads})
    tree = scenario("counter_einval", tmp_path / "node")
    node = RdmaNode(tmp_path, tree, open_counter=made)
    kinds = node.values(RAIL_FAULTS).keys()
    node.round()
    node.round()

    assert ("symbol_error",) not in kinds
    assert ("link_downed",) in kinds
    assert node.failures() == 0
    assert (reads.count("symbol_error"), reads.count("link_downed")) == (1, 3)
    # The old directory is kept, or its inode might be given to the new one.
    ports = (tree.sysfs / _PORT).parent
    ports.rename(ports.with_name("old"))
    other = scenario("mlx5_infiniband", tmp_path / "other")
    (other.sysfs / _PORT).resolve().parent.rename(ports)
    assert node.values(RAIL_FAULTS)["symbol_error",] == 5


def test_trap_13_a_job_that_hangs_has_no_step_now_whatever_its_gpus_show(tmp_path: Path) -> None:
    """A collective's kernel that waits is 100 % of GPU utilisation; a marker is a step's end."""
    jobs = MarkedJobs(tmp_path, id="a")
    jobs.node.readings()
    jobs.steps(range(20))
    running = jobs.total(STEP_PERIOD)
    jobs.pass_time(120.0)

    assert (running, jobs.total(STEP_PERIOD)) == (pytest.approx(1.0), None)
    assert jobs.count() == 20


def test_trap_14_pcie_stalls_are_a_share_of_a_second_and_no_counter() -> None:
    """outbound_pci_stalled is percent, and was differenced as if it were cumulative."""
    rules = [rule for rule in TABLES["mlx5_core"] if rule.spec is RAIL_PCIE_STALLED]

    assert RAIL_PCIE_STALLED.type is MetricType.GAUGE
    assert [rule.value({"outbound_pci_stalled_rd": 40}) for rule in rules] == [
        None,
        pytest.approx(0.4),
    ]
    assert [rule.value({"outbound_pci_stalled_wr": 100}) for rule in rules] == [1.0, None]


def test_trap_14_pauses_are_microseconds_in_the_driver_and_seconds_here() -> None:
    rules = [r for r in TABLES["mlx5_core"] if r.spec.name.endswith("pause_seconds_total")]
    told = {"rx_prio3_pause_duration": 2_500_000, "tx_prio3_pause_duration": 7}

    assert [rule.value(told) for rule in rules] == [pytest.approx(2.5), pytest.approx(7e-6)]
