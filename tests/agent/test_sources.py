"""Sources on files that tests write: absent, unreadable and unparsable are three things."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.trees import Nic, Tree, two_rails
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.files import CounterFile, TextFile, read_text
from railwatch_agent.sources.host import HostSource, busy_ratio, parse_pressure
from railwatch_agent.sources.route import (
    default_route_interface,
    parse_ipv4_default,
    parse_ipv6_default,
)
from railwatch_agent.sources.sysfs import (
    is_up,
    parse_admin_up,
    parse_pci_address,
    parse_speed,
    read_netdevs,
)

_U64 = 2**64 - 1


@given(value=st.integers(0, _U64))
def test_a_counter_of_64_bits_is_read_to_the_last_digit(
    value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("counter") / "rx_bytes"
    path.write_text(f"{value}\n")

    assert CounterFile(path).read() == value


def test_a_counter_file_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "rx_bytes"
    path.write_text("1\n")
    file = CounterFile(path)
    first = file.read()
    path.rename(tmp_path / "moved")
    (tmp_path / "moved").write_text("2\n")

    assert (first, file.read()) == (1, 2)


def test_a_counter_that_does_not_exist_is_absent(tmp_path: Path) -> None:
    assert CounterFile(tmp_path / "rx_bytes").read() is None


def test_a_counter_that_comes_later_is_read(tmp_path: Path) -> None:
    file = CounterFile(tmp_path / "rx_bytes")
    file.read()
    (tmp_path / "rx_bytes").write_text("5\n")

    assert file.read() == 5


def test_a_counter_that_is_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*: Is a directory"):
        CounterFile(tmp_path).read()


@pytest.mark.parametrize("content", ["", "many\n", "1 2\n", "0x10\n"])
def test_a_counter_that_is_no_number_cannot_be_parsed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rx_bytes"
    path.write_text(content)
    with pytest.raises(SourceError, match=r"cannot parse .*rx_bytes"):
        CounterFile(path).read()


def test_a_counter_is_opened_anew_after_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "rx_bytes"
    path.write_text("broken\n")
    file = CounterFile(path)
    with pytest.raises(SourceError):
        file.read()
    path.unlink()
    path.write_text("6\n")

    assert file.read() == 6


def test_a_kept_descriptor_that_is_dead_is_given_up_for_the_file_that_is_there_now(
    tmp_path: Path,
) -> None:
    """What ENODEV is to a descriptor in sysfs, EBADF is to this one: closed under its hands."""
    path = tmp_path / "rx_bytes"
    path.write_text("1\n")
    file = CounterFile(path)
    file.read()
    os.close(file.descriptor)
    file.descriptor = os.open("/dev/null", os.O_WRONLY)
    path.unlink()
    path.write_text("2\n")
    with pytest.raises(SourceError):
        file.read()

    assert file.read() == 2


def test_descriptors_are_closed_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "rx_bytes"
    path.write_text("1\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        CounterFile(path).read()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_word_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "operstate").write_text("up\n")

    assert TextFile(tmp_path / "operstate").read() == "up"
    assert TextFile(tmp_path / "carrier").read() is None


def test_a_text_that_cannot_be_read_is_no_absence(tmp_path: Path) -> None:
    assert read_text(tmp_path / "route") is None
    with pytest.raises(SourceError, match="Is a directory"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("1000", 125e6),
        ("400000", 50e9),
        pytest.param("-1", None, id="unknown"),
        pytest.param("4294967295", None, id="unknown to old kernels"),
        pytest.param("0", None, id="none"),
    ],
)
def test_speed_is_bytes_per_second_or_unknown(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize(
    ("carrier", "operstate", "up"),
    [
        ("1", "up", True),
        ("1", "unknown", True),
        ("1", None, True),
        ("1", "lowerlayerdown", False),
        ("0", "down", False),
        (None, "down", False),
    ],
)
def test_up_needs_a_carrier_and_an_operational_device(
    carrier: str | None, operstate: str | None, *, up: bool
) -> None:
    assert is_up(carrier, operstate) is up


def test_flags_tell_what_the_administrator_wants() -> None:
    assert parse_admin_up("0x1003") is True
    assert parse_admin_up("0x1002") is False


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("devices/pci0000:00/0000:00:01.0/0000:3b:00.1", "0000:3b:00.1"),
        ("devices/pci0000:00/0000:00:03.0/virtio2", "0000:00:03.0"),
        ("devices/vmbus/00000000-0000", None),
        ("devices/pci10000:00/10000:00:02.0", "10000:00:02.0"),
    ],
)
def test_the_pci_function_nearest_to_a_device_counts(path: str, address: str | None) -> None:
    assert parse_pci_address(path) == address


def test_network_devices_are_described(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)

    rail = next(n for n in read_netdevs(tree.sysfs) if n.name == "rail1")

    assert (rail.pci_address, rail.numa_node, rail.driver) == ("0000:af:00.0", 1, "mlx5_core")
    assert (rail.rdma, rail.is_admin_up, rail.is_part) == (("mlx5_1",), True, False)


def test_a_numa_node_of_minus_one_is_unknown(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.add(Nic("rail0", pci="0000:3b:00.0", numa_node=-1))

    assert [n.numa_node for n in read_netdevs(tree.sysfs)] == [None]


def test_devices_without_hardware_are_read_only_when_they_are_named(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    tree.add(Nic("veth1"))
    tree.add(Nic("veth2"))

    assert [n.name for n in read_netdevs(tree.sysfs)] == ["mgmt0", "rail0", "rail1"]
    assert [n.name for n in read_netdevs(tree.sysfs, {"veth2"})] == [
        "mgmt0",
        "rail0",
        "rail1",
        "veth2",
    ]


def test_what_is_no_device_is_not_listed(tmp_path: Path) -> None:
    """The bonding driver keeps a file in class/net."""
    tree = two_rails(tmp_path)
    (tree.sysfs / "class" / "net" / "bonding_masters").write_text("bond0\n")

    assert "bonding_masters" not in [n.name for n in read_netdevs(tree.sysfs)]


def test_a_sysfs_that_is_not_there_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot list"):
        read_netdevs(tmp_path)


def test_the_default_route_with_the_lowest_metric_counts(tmp_path: Path) -> None:
    tree = two_rails(tmp_path)
    tree.route("mgmt0", "rail0")

    assert default_route_interface(tree.procfs) == "mgmt0"


def test_a_node_without_ipv4_has_its_default_route_by_ipv6(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    zero = "0" * 32
    (tree.procfs / "net" / "ipv6_route").write_text(
        f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
        f"{zero} 00 {zero} 00 fe80{'0' * 28} 00000400 00000002 00000000 00000003 eth1\n"
    )

    assert default_route_interface(tree.procfs) == "eth1"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("eth0 0000A8C0 00000000 0001 0 0 0 0000FFFF 0 0 0", id="a subnet"),
        pytest.param("eth0 00000000 0100000A 0002 0 0 0 00000000 0 0 0", id="a route that is down"),
        pytest.param("* 00000000 00000000 0201 0 0 0 00000000 0 0 0", id="unreachable"),
        pytest.param("eth0 00000000 00000000 0001 0 0 0 00000080 0 0 0", id="half of everything"),
        pytest.param("", id="nothing"),
    ],
)
def test_other_routes_are_no_default_route(line: str) -> None:
    assert parse_ipv4_default(f"Iface Destination\n{line}\n") is None


def test_an_empty_table_has_no_default_route() -> None:
    assert parse_ipv6_default("") is None


def test_pressure_is_what_some_tasks_waited() -> None:
    assert parse_pressure("some avg10=4.66 avg60=2 avg300=1 total=5\nfull avg10=1.00\n") == 4.66
    with pytest.raises(ValueError, match="some avg10="):
        parse_pressure("full avg10=0.00 avg60=0.00 avg300=0.00 total=0")


def test_a_host_without_pressure_figures_has_none(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.procfs / "pressure" / "io").unlink()

    assert HostSource(tree.procfs).pressure_percent("io") is None
    assert HostSource(tree.procfs).pressure_percent("memory") == 1.5


_TIMES = st.fixed_dictionaries(
    {name: st.floats(0, 1e9) for name in ("user", "system", "idle", "iowait", "guest")}
)


@given(before=_TIMES, after=_TIMES)
def test_busy_is_a_share_whatever_the_times_say(
    before: dict[str, float], after: dict[str, float]
) -> None:
    busy = busy_ratio(before, after)

    assert busy is None or -1e-9 <= busy <= 1 + 1e-9


def test_a_guests_time_counts_once() -> None:
    before = dict.fromkeys(("user", "idle", "guest"), 0.0)

    assert busy_ratio(before, {"user": 1.0, "idle": 1.0, "guest": 1.0}) == 0.5
