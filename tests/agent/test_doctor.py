"""What `doctor` says of a node, on scenario trees: what is read, what is not, and why."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.program import path_flags, run_command
from agent.trees import Nic, Tree, scenario, two_rails
from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import Scope
from railwatch_agent.doctor.examination import Examination, examine_node
from railwatch_agent.doctor.findings import Finding, Section, Status
from railwatch_agent.roster import node_collectors, rail_collectors
from railwatch_agent.settings import (
    COLLECTORS,
    AgentSettings,
    CollectorSettings,
    EthtoolSettings,
    PathSettings,
    RailSettings,
    RdmaSettings,
    SamplerSettings,
    TopologySettings,
)

_PORT = "class/infiniband/mlx5_0/ports/1"


def _settings(tree: Tree) -> AgentSettings:
    state = str(tree.sysfs.parent / "state")
    return AgentSettings(paths=PathSettings(str(tree.procfs), str(tree.sysfs), state))


def _examine(tree: Tree, seconds: float = 20.0, **sections: object) -> Examination:
    settings = replace(_settings(tree), **sections)  # type: ignore[arg-type] # sections of it
    return examine_node(settings, "1.2.3", seconds)


def _found(examination: Examination, section: Section, what: str) -> list[Finding]:
    return [f for f in examination.findings if f.section is section and f.what == what]


def _families(examination: Examination, status: Status) -> set[str]:
    return {
        f.what.removeprefix("railwatch_rail_")
        for f in examination.findings
        if f.section is Section.METRICS and f.status is status and f.rail == 0
    }


@contextmanager
def _hanging(path: Path) -> Iterator[None]:
    """Let reads of *path* wait for a writer that does not come before the end."""
    path.unlink()
    os.mkfifo(path)
    try:
        yield
    finally:
        os.close(os.open(path, os.O_WRONLY))


def test_every_family_of_the_rails_is_accounted_for(tmp_path: Path) -> None:
    """A family that is added to the catalogue comes up here without a word about it."""
    examination = _examine(scenario("mlx5_roce", tmp_path))

    named = [f.what for f in examination.findings if f.section is Section.METRICS and f.rail == 0]
    scopes = (Scope.RAIL, Scope.PRIORITY, Scope.MODULE, Scope.LANE)
    wanted = [spec.name for spec in METRICS if spec.scope in scopes]
    assert sorted(set(named)) == sorted(wanted)


def test_optics_are_off_until_a_key_turns_them_on(tmp_path: Path) -> None:
    tree = scenario("mlx5_roce", tmp_path)
    (off,) = _found(_examine(tree), Section.METRICS, "railwatch_rail_module_info")
    on = _examine(tree, ethtool=EthtoolSettings(module=True))
    (asked,) = _found(on, Section.METRICS, "railwatch_rail_module_info")

    assert (off.status, off.change) == (Status.OFF, "[ethtool] module")
    assert asked.status is Status.ABSENT


def test_doctor_has_every_collector_that_the_agent_has(tmp_path: Path) -> None:
    settings = _settings(scenario("mlx5_roce", tmp_path))
    known = {*rail_collectors(lambda: settings, tuple), *node_collectors(lambda: settings, tuple)}

    # Those of windows and steps read no source, that of GPUs what another process has asked the
    # driver, and what names jobs has a check each.
    assert known == {*COLLECTORS} - {"window", "steps", "gpu", "job"}


def test_families_that_came_out_are_told_from_those_that_nothing_keeps(tmp_path: Path) -> None:
    examination = _examine(scenario("mlx5_roce", tmp_path))

    shown, absent = (_families(examination, s) for s in (Status.OK, Status.ABSENT))
    assert {"up", "receive_bytes_total", "faults_total", "congestion_total"} <= shown
    assert {"receive_window_max_bytes_per_second", "receive_utilization_ratio"} <= shown
    assert {"credit_wait_total", "pause_seconds_total"} <= absent - shown
    faults = _found(examination, Section.METRICS, "railwatch_rail_faults_total")
    assert [("ack_timeout" in f.values, "symbol_error" in f.values) for f in faults] == [
        (True, False),
        (False, True),
    ]


def test_the_parts_that_make_up_the_bytes_are_named(tmp_path: Path) -> None:
    (bytes_,) = _found(_examine(scenario("mlx5_roce", tmp_path)), Section.SOURCES, "bytes")

    assert (bytes_.status, bytes_.detail) == (
        Status.OK,
        "counters/port_rcv_data + statistics/rx_bytes",
    )


@pytest.mark.parametrize("name", ["mlx5_no_pma", "soft_roce"])
def test_rdma_that_is_not_counted_is_told(tmp_path: Path, name: str) -> None:
    """The bytes of such a rail look healthy and are TCP's alone."""
    examination = _examine(scenario(name, tmp_path))

    (bytes_,) = _found(examination, Section.SOURCES, "bytes of RDMA")
    assert bytes_.status is Status.ABSENT
    assert examination.watched == 1


def test_the_time_that_reading_takes_and_the_age_of_values_are_told(tmp_path: Path) -> None:
    examination = _examine(scenario("mlx5_roce", tmp_path))

    (took,) = _found(examination, Section.SOURCES, "read of bytes")
    (lifespan,) = _found(examination, Section.SOURCES, "lifespan of hw_counters")
    assert took.detail.endswith("us (median of 9)")
    assert lifespan.detail == "10 ms: values are at most that old"


@pytest.mark.parametrize(("interval_seconds", "is_sharper"), [(0.02, 0), (0.005, 1)])
def test_bytes_that_stand_still_between_two_samples_are_told(
    tmp_path: Path, interval_seconds: float, is_sharper: int
) -> None:
    sampler = SamplerSettings(interval_seconds=interval_seconds)
    examination = _examine(scenario("bnxt_re", tmp_path), sampler=sampler)

    (lifespan,) = _found(examination, Section.SOURCES, "lifespan of hw_counters")
    assert ("sharper" in lifespan.detail, bool(lifespan.change)) == (is_sharper, is_sharper)


def test_one_counter_that_fails_is_named_with_its_errno_and_costs_no_other(
    tmp_path: Path,
) -> None:
    tree = scenario("counter_eisdir", tmp_path)
    examination = _examine(tree)

    ok, failed = _found(examination, Section.SOURCES, "infiniband collector")
    assert (ok.status, failed.status) == (Status.OK, Status.FAILED)
    counter = tree.sysfs / _PORT / "counters" / "symbol_error"
    assert failed.detail == f"cannot read {counter}: Is a directory (EISDIR)"
    faults = _found(examination, Section.METRICS, "railwatch_rail_faults_total")
    assert "its reading failed" in faults[1].detail
    assert "symbol_error" in faults[1].values


def test_a_read_that_hangs_does_not_hang_doctor(tmp_path: Path) -> None:
    tree = scenario("mlx5_infiniband", tmp_path)
    with _hanging(tree.sysfs / _PORT / "counters" / "symbol_error"):
        examination = _examine(tree, seconds=2.0)

    (*ok, hung) = _found(examination, Section.SOURCES, "infiniband collector")
    assert [f.status for f in ok] == [Status.OK]
    assert (hung.status, hung.detail) == (Status.FAILED, "no answer within 2 s")
    assert examination.watched == 1
    assert "faults_total" in _families(examination, Status.OK)


def test_a_search_for_rails_that_hangs_leaves_the_rest_of_the_report(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    with _hanging(tree.netdev("rail0") / "flags"):
        examination = _examine(tree, seconds=0.2)

    (rails,) = [f for f in examination.findings if f.section is Section.RAILS]
    assert (rails.status, examination.watched) == (Status.FAILED, 0)
    assert _found(examination, Section.NODE, "kernel")


def test_bytes_that_hang_make_a_rail_that_cannot_be_watched(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    with _hanging(tree.netdev("rail0") / "statistics" / "rx_bytes"):
        examination = _examine(tree, seconds=2.0)

    assert (examination.rails, examination.watched) == (2, 1)
    assert [f.status for f in _found(examination, Section.SOURCES, "bytes")] == [
        Status.FAILED,
        Status.OK,
    ]


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("virtual_function", {"vf0": "virtual function", "mlx5_2/1": "virtual function"}),
        ("bond", {"bond0": "cannot do RDMA"}),
        ("unused_port", dict.fromkeys(("mlx5_1/1", "mlx5_3/1"), "its link was never up")),
    ],
)
def test_what_is_no_rail_is_named_with_the_rule_that_leaves_it_out(
    tmp_path: Path, name: str, left_out: dict[str, str]
) -> None:
    examination = _examine(scenario(name, tmp_path))

    found = {f.what: f for f in examination.findings if f.section is Section.LEFT_OUT}
    assert found.keys() == left_out.keys()
    for device, reason in left_out.items():
        assert found[device].status is Status.OFF
        assert found[device].detail.startswith(reason)


def test_a_node_without_a_rail_says_of_each_device_why(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.add(Nic("eth0", pci="0000:05:00.0", driver="igb", is_admin_up=False))
    tree.add(Nic("eth1", pci="0000:3b:00.0", rdma="mlx5_0", has_carrier=False, is_admin_up=False))
    examination = _examine(tree)

    found = {f.what: f.detail for f in examination.findings if f.section is Section.LEFT_OUT}
    reason = "no hardware of its own, or administratively down"
    assert (examination.rails, found) == (0, {"eth0": reason, "eth1": reason})


def test_with_rails_that_are_configured_the_others_are_left_out_by_configuration(
    tmp_path: Path,
) -> None:
    examination = _examine(two_rails(tmp_path), rails=(RailSettings("mlx5_1"),))

    (rail0,) = _found(examination, Section.LEFT_OUT, "rail0")
    assert rail0.detail == "[[rails]] does not name it"


def test_a_rail_that_is_gone_is_named_and_not_read(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    paths = _settings(tree).paths
    names = (RailSettings("rail0"), RailSettings("gone"))
    examination = _examine(tree, rails=names, paths=paths)

    (gone,) = _found(examination, Section.RAILS, "gone")
    assert (gone.status, gone.rail) == (Status.ABSENT, 1)
    assert not [f for f in examination.findings if f.rail == 1 and f is not gone]
    assert (examination.rails, examination.watched) == (2, 1)


def test_a_collector_that_is_off_is_not_asked_and_the_key_is_named(tmp_path: Path) -> None:
    off = CollectorSettings(("window", "infiniband"))
    examination = _examine(scenario("mlx5_roce", tmp_path), collectors=off)

    (collector,) = _found(examination, Section.SOURCES, "infiniband collector")
    (window,) = _found(
        examination, Section.METRICS, "railwatch_rail_receive_window_max_bytes_per_second"
    )
    (congestion,) = _found(examination, Section.METRICS, "railwatch_rail_congestion_total")
    assert (collector.status, collector.change) == (Status.OFF, "[collectors] disable")
    assert (window.status, window.change) == (Status.OFF, "take window out of [collectors] disable")
    assert "infiniband" in congestion.change


def test_a_line_rate_that_nothing_tells_costs_the_shares_of_it(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.add(Nic("eth0", pci="0000:05:00.0", driver="virtio_net", speed="-1"))
    tree.route("eth0")
    examination = _examine(tree)

    (share,) = _found(examination, Section.METRICS, "railwatch_rail_receive_window_duty_ratio")
    assert (share.status, share.change) == (
        Status.ABSENT,
        "[[rails]] line_rate_bytes_per_second",
    )


def test_a_sysfs_of_another_network_namespace_is_told(tmp_path: Path) -> None:
    """As in a container that has the host's sysfs and a network of its own."""
    tree = scenario("no_rdma", tmp_path)
    (other,) = _found(_examine(tree), Section.SOURCES, "network namespace")
    index, name = socket.if_nameindex()[0]
    tree.netdev("eth0").rename(tree.netdev(name))
    tree.write(name, "ifindex", str(index))
    tree.route(name)
    (same,) = _found(_examine(tree), Section.SOURCES, "network namespace")

    assert (other.status, same.status) == (Status.MISSING, Status.OK)
    assert "hostNetwork" in other.change


def test_neighbours_are_absent_for_want_of_lldpd_and_nothing_else_is(tmp_path: Path) -> None:
    socket_ = str(tmp_path / "lldpd.socket")
    tree = scenario("mlx5_roce", tmp_path / "node")
    found = {}
    for what, path in (("missing", socket_), ("off", "")):
        examination = _examine(tree, topology=TopologySettings(lldp_socket=path))
        (lldp,) = _found(examination, Section.SOURCES, "LLDP")
        (neighbor,) = _found(examination, Section.METRICS, "railwatch_rail_neighbor_info")
        assert lldp.status == neighbor.status == what
        assert lldp.detail == neighbor.detail
        found[what] = lldp.change

    assert found == {
        "missing": "run lldpd and install its library, or [topology] file",
        "off": "[topology] lldp_socket",
    }


def test_vendor_counters_are_off_or_found_or_not(tmp_path: Path) -> None:
    named = RdmaSettings(("VL15_dropped", "not_here"))
    examination = _examine(scenario("mlx5_roce", tmp_path), rdma=named)

    found = _found(examination, Section.METRICS, "railwatch_rdma_counter_total")
    (off,) = _found(examination, Section.METRICS, "railwatch_ethtool_statistic")
    assert {f.values: f.status for f in found} == {
        ("VL15_dropped",): Status.OK,
        ("not_here",): Status.ABSENT,
    }
    assert (off.status, off.change) == (Status.OFF, "[ethtool] statistics")


def test_the_command_prints_a_table_of_the_width_of_the_terminal(tmp_path: Path) -> None:
    tree = two_rails(tmp_path / "node")
    done = run_command("doctor", *path_flags(tree, tmp_path), environment={"COLUMNS": "70"})

    assert (done.returncode, done.stderr) == (0, "")
    # A path stays in one piece, so that it can be copied.
    assert all(len(line) <= 70 or str(tmp_path) in line for line in done.stdout.splitlines())
    assert "2 of 2 rails can be watched" in done.stdout.splitlines()[-1]
    assert not (tmp_path / "state").exists()


def test_a_node_without_a_rail_is_exit_code_1(tmp_path: Path) -> None:
    done = run_command("doctor", "--json", *path_flags(Tree(tmp_path / "node"), tmp_path))

    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["rails"], report["watched"]) == (0, 0)
    (rails,) = [f for f in report["findings"] if f["section"] == "rails"]
    assert rails["status"] == "missing"


def test_a_sysfs_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    done = run_command("doctor", "--json", "--paths.sysfs", str(tmp_path / "none"))

    assert done.returncode == 1
    sysfs = next(f for f in json.loads(done.stdout)["findings"] if f["what"] == "sysfs")
    assert (sysfs["status"], sysfs["change"]) == ("missing", "[paths] sysfs")
