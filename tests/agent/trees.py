"""Scenario trees: /sys and /proc of a node, as the kernel documents their layout.

Knowledge: Documentation/ABI/testing/sysfs-class-net, -statistics, sysfs-bus-pci, proc_pid_net(5),
Documentation/accounting/psi.rst, sysfs-class-infiniband. `class/net/NAME` is a link into `devices`,
`device` one back to the PCI function, and a function that is an RDMA adapter too has a directory
`infiniband`, into which `class/infiniband/NAME` leads.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.unpack import TESTDATA, unpack, unpack_scenario

# Above any index that the machine of the tests has: its real queues and addresses are not ours.
_FIRST_INDEX = 900_000

_ROOT_PORT = "pci0000:00/0000:00:01.0"

_ZERO = dict.fromkeys(
    (
        "rx_bytes",
        "tx_bytes",
        "rx_packets",
        "tx_packets",
        "rx_errors",
        "tx_errors",
        "rx_dropped",
        "tx_dropped",
    ),
    0,
)
_COUNTER_WIDTH = 20

_ROUTE = "{}\t00000000\t0100000A\t0003\t0\t0\t{}\t00000000\t0\t0\t0\n"


@dataclass(frozen=True, slots=True)
class RdmaPort:
    """A port of an RDMA device; of both folders only those files that are named are there."""

    number: int = 1
    link_layer: str = "Ethernet"
    state: str = "4: ACTIVE"
    physical_state: str = "5: LinkUp"
    rate: str = "100 Gb/sec (4X EDR)"
    counters: Mapping[str, int] = field(default_factory=dict)
    hw_counters: Mapping[str, int] = field(default_factory=dict)


DOWN = RdmaPort(state="1: DOWN", physical_state="3: Disabled", rate="2.5 Gb/sec (1X SDR)")


@dataclass(frozen=True, slots=True)
class Nic:
    """A network device as a scenario describes it; `pci` None makes it virtual.

    `port` is its port of the RDMA device `rdma`, by default one that counts nothing.
    """

    name: str
    pci: str | None = None
    rdma: str | None = None
    speed: str = "100000"
    counters: Mapping[str, int] = field(default_factory=dict)
    carrier_down_count: int | None = 0
    numa_node: int = 0
    driver: str = "mlx5_core"
    link_type: int = 1
    dev_port: int = 0
    physical_port_name: str | None = None
    is_admin_up: bool = True
    has_carrier: bool = True
    is_virtual_function: bool = False
    is_child: bool = False
    """Of IP over InfiniBand: another partition of the same port."""
    port: RdmaPort | None = None
    below: str = _ROOT_PORT
    """Where its function hangs: host bridge, root port and perhaps switches."""


class Tree:
    """`sys` and `proc` below *root*; devices can be added, changed and taken away at any time.

    What is there already, because a scenario was unpacked, is taken over.
    """

    def __init__(self, root: Path) -> None:
        self.sysfs = root / "sys"
        self.procfs = root / "proc"
        self._root = root
        self._newest_index = _FIRST_INDEX
        if not self.procfs.exists():
            unpack((TESTDATA / "host.tree").read_text(), root)
            self.add(Nic("lo", link_type=772, speed="0"))
        for path in (self.sysfs / "class" / "net").glob("*/ifindex"):
            self._newest_index = max(self._newest_index, int(path.read_text()))

    def add(self, nic: Nic) -> Path:
        """Add a device under a new interface index, as in the kernel; return its directory."""
        self._newest_index += 1
        device = self._device(nic)
        parent = self.sysfs / "devices" / "virtual" if device is None else device
        directory = parent / "net" / nic.name
        (directory / "statistics").mkdir(parents=True)
        if device is not None:
            (directory / "device").symlink_to(device)
        for name, text in self._attributes(nic).items():
            (directory / name).write_text(f"{text}\n")
        for name, value in {**_ZERO, **nic.counters}.items():
            (directory / "statistics" / name).write_bytes(_counter(value))
        if nic.rdma is not None and nic.pci is not None:
            number = nic.dev_port + 1
            port = nic.port or replace(RdmaPort() if nic.has_carrier else DOWN, number=number)
            self.add_rdma(nic.rdma, nic.pci, port, driver=nic.driver)
        self.netdev(nic.name).symlink_to(directory)
        return self.netdev(nic.name)

    def add_gpu(
        self, pci: str, below: str = _ROOT_PORT, *, vendor: str = "0x10de", code: str = "0x030200"
    ) -> Path:
        """Add a GPU to the PCI bus, or whatever else *vendor* and class *code* say."""
        function = self._function(pci, "nvidia", below=below)
        (function / "vendor").write_text(f"{vendor}\n")
        (function / "class").write_text(f"{code}\n")
        return function

    def remove_function(self, pci: str) -> None:
        """Take a function off the PCI bus, as when its card falls off it."""
        link = self.sysfs / "bus" / "pci" / "devices" / pci
        directory = link.resolve()
        link.unlink()
        shutil.rmtree(directory)

    def rename(self, name: str, to: str) -> None:
        """Rename a network device, as udev does at boot: it keeps its index and its counters."""
        directory = self.netdev(name).resolve()
        self.netdev(name).unlink()
        self.netdev(to).symlink_to(directory.rename(directory.with_name(to)))

    def remove(self, name: str) -> None:
        """Take a device away, as when its driver gives it up, and its RDMA device with it."""
        directory = self.netdev(name).resolve()
        for rdma in (self.netdev(name) / "device" / "infiniband").glob("*"):
            self.remove_rdma(rdma.name)
        # Descriptors that are open would answer ENODEV; here their file is emptied at least.
        for path in (directory / "statistics").iterdir():
            if path.is_file():
                os.truncate(path, 0)
        self.netdev(name).unlink()
        shutil.rmtree(directory)

    def add_rdma(self, name: str, pci: str, port: RdmaPort, driver: str = "mlx5_core") -> Path:
        """Add a port of an RDMA device; return its directory. One that is there stays."""
        function = self._function(pci, driver)
        device = function / "infiniband" / name
        directory = device / "ports" / str(port.number)
        link = self.sysfs / "class" / "infiniband" / name
        if directory.exists():
            return link / "ports" / str(port.number)
        for folder, counters in (
            (directory / "counters", port.counters),
            (directory / "hw_counters", port.hw_counters),
        ):
            if counters:
                folder.mkdir(parents=True)
            for counter, value in counters.items():
                (folder / counter).write_bytes(_counter(value))
        directory.mkdir(parents=True, exist_ok=True)
        for attribute, text in {
            "link_layer": port.link_layer,
            "state": port.state,
            "phys_state": port.physical_state,
            "rate": port.rate,
        }.items():
            (directory / attribute).write_text(f"{text}\n")
        if not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            (device / "device").symlink_to(function)
            link.symlink_to(device)
        return link / "ports" / str(port.number)

    def remove_rdma(self, name: str) -> None:
        """Take an RDMA device away, as when its driver is unloaded."""
        link = self.sysfs / "class" / "infiniband" / name
        directory = link.resolve()
        link.unlink()
        shutil.rmtree(directory)

    def count_rdma(self, name: str, port: int = 1, **counters: int) -> None:
        """Set counters of a port in place, wherever the port has them."""
        device = self.sysfs / "class" / "infiniband" / name
        for counter, value in counters.items():
            places = (device / "ports" / str(port)).glob(f"*/{counter}")
            with next(places).open("r+b") as file:
                file.write(_counter(value))

    def netdev(self, name: str) -> Path:
        """The directory of a device in class/net."""
        return self.sysfs / "class" / "net" / name

    def count(self, name: str, **counters: int) -> None:
        """Set counters in place, so that a descriptor that is open sees them."""
        for counter, value in counters.items():
            with (self.netdev(name) / "statistics" / counter).open("r+b") as file:
                file.write(_counter(value))

    def write(self, name: str, attribute: str, text: str) -> None:
        """Set an attribute in place."""
        (self.netdev(name) / attribute).write_text(f"{text}\n")

    def replace_by_directory(self, name: str, attribute: str) -> None:
        """Make reading an attribute fail with EISDIR."""
        path = self.netdev(name) / attribute
        path.unlink()
        path.mkdir()

    def replace_by_fifo(self, name: str, attribute: str) -> Path:
        """Make reading an attribute hang until someone writes; return the FIFO."""
        path = self.netdev(name) / attribute
        path.unlink()
        os.mkfifo(path)
        return path

    def route(self, *names: str) -> None:
        """Lead the default route through *names*, the first with the lowest metric."""
        lines = (_ROUTE.format(name, metric) for metric, name in enumerate(names, start=100))
        routes = self.procfs / "net" / "route"
        header = routes.read_text().partition("\n")[0]
        routes.write_text(f"{header}\n{''.join(lines)}")

    def apply(self, text: str) -> None:
        """Change what a `.tree` says has changed."""
        unpack(text, self._root)

    def _device(self, nic: Nic) -> Path | None:
        """Return the PCI function of a device, made if it is not there yet."""
        if nic.pci is None:
            return None
        device = self._function(nic.pci, nic.driver, nic.numa_node, nic.below)
        if nic.rdma is not None:
            (device / "infiniband" / nic.rdma).mkdir(parents=True, exist_ok=True)
        if nic.is_virtual_function:
            (device / "physfn").mkdir()
        return device

    def _function(self, pci: str, driver: str, numa_node: int = 0, below: str = _ROOT_PORT) -> Path:
        link = self.sysfs / "bus" / "pci" / "devices" / pci.partition("/")[0]
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.sysfs / "devices" / below / link.name)
        # A subfunction is below the function that it is a slice of.
        device = link.parent.joinpath(link.readlink(), *pci.split("/")[1:])
        device.mkdir(parents=True, exist_ok=True)
        if not (device / "numa_node").exists():
            (device / "numa_node").write_text(f"{numa_node}\n")
        if not (device / "driver").is_symlink():
            (device / "driver").symlink_to(self.sysfs / "bus" / "pci" / "drivers" / driver)
        return device

    def _attributes(self, nic: Nic) -> dict[str, str]:
        up = nic.is_admin_up and nic.has_carrier
        found = {
            "ifindex": str(self._newest_index),
            "type": str(nic.link_type),
            "dev_port": str(nic.dev_port),
            "flags": "0x1003" if nic.is_admin_up else "0x1002",
            "operstate": "up" if up else "down",
            "speed": nic.speed,
        }
        # EINVAL while administratively down; a file that is absent is read the same way.
        if nic.is_admin_up:
            found["carrier"] = str(int(nic.has_carrier))
        if nic.carrier_down_count is not None:
            found["carrier_down_count"] = str(nic.carrier_down_count)
        if nic.is_child:
            found["parent"] = "ib0"
        if nic.physical_port_name is not None:
            found["phys_port_name"] = nic.physical_port_name
        return found


def _counter(value: int) -> bytes:
    # Of one width: a shorter number written in place leaves nothing of a longer one behind.
    return f"{value:<{_COUNTER_WIDTH}}\n".encode()


def scenario(name: str, root: Path) -> Tree:
    """Return the node of a scenario of `testdata`, unpacked below *root*."""
    unpack_scenario(name, root)
    return Tree(root)


def two_rails(root: Path) -> Tree:
    """Two RoCE rails, each with a GPU, and a management port with the default route."""
    tree = Tree(root)
    tree.add(Nic("mgmt0", pci="0000:05:00.0", driver="igb", speed="1000"))
    roots = ("pci0000:3a/0000:3a:00.0", "pci0000:ae/0000:ae:00.0")
    tree.add(Nic("rail0", pci="0000:3b:00.0", rdma="mlx5_0", below=roots[0]))
    tree.add(Nic("rail1", pci="0000:af:00.0", rdma="mlx5_1", numa_node=1, below=roots[1]))
    tree.add_gpu("0000:3c:00.0", roots[0])
    tree.add_gpu("0000:b0:00.0", roots[1])
    tree.route("mgmt0")
    return tree
