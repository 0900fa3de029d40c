"""Which GPU a rail is next to: the rule on tables, and the inventory on trees."""

import doctest
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import FakeClock
from agent.trees import Nic, Tree
from railwatch.catalogue.metric import ReadFailure
from railwatch_agent.inventory import Inventory
from railwatch_agent.numbering import BookFile
from railwatch_agent.pairing import nearest, pair
from railwatch_agent.sources import pci
from railwatch_agent.sources.pci import PciWatch, Place


def _places(layout: Mapping[str, str]) -> dict[str, Place]:
    """Places by address, of addresses that follow the order of *layout*."""
    return {
        f"0000:{int(name[1:]):02x}:00.0": (*below.split("/"), f"0000:{int(name[1:]):02x}:00.0")
        for name, below in layout.items()
    }


def _paired(layout: Mapping[str, str]) -> dict[str, str]:
    """Pair the NICs (n1, n2, …) and GPUs (g3, …) of *layout*, name → bridges above."""
    nics = _places({name: below for name, below in layout.items() if name.startswith("n")})
    gpus = _places({name: below for name, below in layout.items() if name.startswith("g")})
    found = pair(nics, gpus)
    return {f"n{int(nic[5:7], 16)}": f"g{int(gpu[5:7], 16)}" for nic, gpu in sorted(found.items())}


_EIGHT = {
    f"{kind}{2 * at + number}": f"pci0000:{at}0/0000:{at}0:01.0/switch"
    for at in range(1, 9)
    for number, kind in enumerate("ng")
}


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"n1": "pci0000:00/a"}, {}, id="no GPU"),
        pytest.param({"g1": "pci0000:00/a"}, {}, id="no NIC"),
        pytest.param(_EIGHT, {f"n{2 * at}": f"g{2 * at + 1}" for at in range(1, 9)}, id="8 and 8"),
        pytest.param(
            {"n1": "pci0000:00/a/s", "n2": "pci0000:00/a/s", "g3": "pci0000:00/a/s",
             "g4": "pci0000:00/a/s"},
            {"n1": "g3", "n2": "g4"},
            id="two and two below a switch, in order",
        ),
        pytest.param(
            {"n1": "pci0000:00/a/s", "g2": "pci0000:00/a", "g3": "pci0000:00/a/s"},
            {"n1": "g3"},
            id="a switch beats a root port",
        ),
        pytest.param(
            {"n1": "pci0000:00/a", "g2": "pci0000:00/b", "g3": "pci0000:00/a/s",
             "g4": "pci0000:10/a"},
            {"n1": "g3"},
            id="a root port beats a host bridge",
        ),
        pytest.param(
            {"n1": "pci0000:10/a", "g2": "pci0000:00/a", "g3": "pci0000:10/b"},
            {"n1": "g3"},
            id="a host bridge will do",
        ),
        pytest.param(
            {"n1": "pci0000:10/a", "g2": "pci0000:00/a", "g3": "pci0000:20/b"},
            {},
            id="nothing shared but perhaps a NUMA node",
        ),
        pytest.param(
            {"n1": "pci0000:00", "n2": "pci0000:00", "g3": "pci0000:00", "g4": "pci0000:00"},
            {},
            id="the flat bus of a virtual machine",
        ),
        pytest.param(
            {"n1": "pci0000:00/a", "g2": "pci0000:00/b"}, {"n1": "g2"}, id="the only GPU",
        ),
        pytest.param(
            {"n1": "pci0000:00/a/s", "n2": "pci0000:00/a/s", "g3": "pci0000:00/a/s"},
            {"n1": "g3", "n2": "g3"},
            id="more NICs than GPUs share",
        ),
        pytest.param(
            {"n1": "pci0000:00/a/s", "n2": "pci0000:00/a/s", "n3": "pci0000:00/a/s",
             "n4": "pci0000:00/a/s", "g5": "pci0000:00/a/s", "g6": "pci0000:00/a/s"},
            {"n1": "g5", "n2": "g5", "n3": "g6", "n4": "g6"},
            id="four NICs for two GPUs: neighbours share",
        ),
        pytest.param(
            {"n1": "pci0000:00/a/s", "n2": "pci0000:00/a/s", "g3": "pci0000:00/a/s",
             "g4": "pci0000:00/a/s", "g5": "pci0000:00/a/s", "g6": "pci0000:00/a/s"},
            {"n1": "g3", "n2": "g5"},
            id="two NICs for four GPUs: spread",
        ),
        pytest.param(
            {"n1": "pci0000:00/a", "n2": "pci0000:00/a/s", "g3": "pci0000:00/a/s",
             "g4": "pci0000:00/a"},
            {"n1": "g4", "n2": "g3"},
            id="who is nearer chooses first",
        ),
    ],
)  # fmt: skip
def test_a_nic_has_the_gpu_below_the_deepest_bridge_above_both(
    layout: dict[str, str], expected: dict[str, str]
) -> None:
    assert _paired(layout) == expected


_BRIDGES = st.lists(st.sampled_from("abc"), max_size=3).map(
    lambda below: "/".join(("pci0000:00", *below))
)
_LAYOUTS = st.lists(st.tuples(st.sampled_from("ng"), _BRIDGES), max_size=9).map(
    lambda functions: {f"{kind}{at}": below for at, (kind, below) in enumerate(functions, 1)}
)


@given(layout=_LAYOUTS, data=st.data())
def test_pairs_do_not_depend_on_the_order_of_anything(
    layout: dict[str, str], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations([*layout.items()])))

    assert _paired(shuffled) == _paired(layout)


def _depth(one: str, other: str) -> int:
    """How many bridges two functions share, counted in another way than the code does."""
    parts = (one.split("/"), other.split("/"))
    return max(n for n in range(5) if parts[0][:n] == parts[1][:n] and n <= len(parts[0]))


@given(layout=_LAYOUTS)
def test_no_gpu_is_nearer_than_the_one_that_a_nic_has(layout: dict[str, str]) -> None:
    gpus = [below for name, below in layout.items() if name.startswith("g")]

    for nic, gpu in _paired(layout).items():
        assert _depth(layout[nic], layout[gpu]) == max(_depth(layout[nic], g) for g in gpus)


@given(layout=_LAYOUTS)
def test_a_gpu_is_given_once_while_nowhere_are_there_more_nics_than_gpus(
    layout: dict[str, str],
) -> None:
    below = [*layout.values()]
    bridges = {b.rsplit("/", n)[0] for b in below for n in range(b.count("/") + 1)}

    def count(kind: str, bridge: str) -> int:
        return sum(f"{b}/".startswith(f"{bridge}/") for n, b in layout.items() if n[0] == kind)

    given_out = [*_paired(layout).values()]
    if all(count("n", bridge) <= count("g", bridge) for bridge in bridges):
        assert len(set(given_out)) == len(given_out)


class _Node:
    """A tree with two rails below a switch each, and the inventory of an agent."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Tree(root / "node")
        for number, bus in enumerate(("10", "20", "30")):
            self.tree.add(
                Nic(
                    f"rail{number}",
                    pci=f"0000:{bus}:00.0",
                    rdma=f"mlx5_{number}",
                    below=self.below(bus),
                )
            )
        self.restart()

    @staticmethod
    def below(bus: str) -> str:
        """Bridges above a function of that bus."""
        return f"pci0000:{bus}/0000:{bus}:01.0"

    def restart(self) -> None:
        """Begin anew with what is in the book."""
        self.inventory = Inventory(
            sysfs=self.tree.sysfs,
            procfs=self.tree.procfs,
            configured=(),
            book_file=BookFile(self.root / "state"),
            clock=FakeClock(),
        )

    def gpus(self) -> list[int | None]:
        """Return the GPUs of the rails after a scan."""
        assert list(self.inventory.collect()) == []
        return [rail.gpu for rail in self.inventory.rails()]


@pytest.fixture
def node(tmp_path: Path) -> _Node:
    made = _Node(tmp_path)
    for bus in ("10", "20", "30"):
        made.tree.add_gpu(f"0000:{bus}:01.0", made.below(bus))
    return made


def test_gpus_have_the_order_of_their_addresses(node: _Node) -> None:
    assert node.gpus() == [0, 1, 2]


def test_a_gpu_that_falls_off_the_bus_keeps_its_number_and_so_do_the_others(node: _Node) -> None:
    before = node.gpus()
    node.tree.remove_function("0000:10:01.0")

    assert node.gpus() == before


def test_numbers_of_gpus_are_counted_anew_when_the_agent_starts(node: _Node) -> None:
    """As NVML's are, which the series of the GPUs bear."""
    node.gpus()
    node.tree.remove_function("0000:10:01.0")
    node.restart()

    assert node.gpus() == [None, 0, 1]


def test_a_gpu_that_comes_later_moves_no_other(tmp_path: Path) -> None:
    node = _Node(tmp_path)
    for bus in ("20", "30"):
        node.tree.add_gpu(f"0000:{bus}:01.0", node.below(bus))
    before = node.gpus()
    node.tree.add_gpu("0000:10:01.0", node.below("10"))

    assert (before, node.gpus()) == ([None, 0, 1], [2, 0, 1])


def test_a_nic_that_falls_off_the_bus_leaves_the_pairs_as_they_were(tmp_path: Path) -> None:
    """Two of each below one switch: the second NIC must not move on to the first GPU."""
    tree = Tree(tmp_path / "node")
    node = _Node(tmp_path / "other")
    node.tree = tree
    for number in (0, 1):
        tree.add(Nic(f"r{number}", pci=f"0000:1{number}:00.0", rdma=f"mlx5_{number}"))
        tree.add_gpu(f"0000:2{number}:00.0")
    node.restart()
    before = node.gpus()
    tree.remove("r0")
    tree.remove_function("0000:10:00.0")

    assert before == node.gpus() == [0, 1]


def test_another_card_in_the_slot_of_a_gpu_is_none(node: _Node) -> None:
    node.gpus()
    node.tree.remove_function("0000:20:01.0")
    node.gpus()
    node.tree.add_gpu("0000:20:01.0", node.below("20"), code="0x010802")

    assert node.gpus() == [0, None, 2]


@pytest.mark.parametrize(
    ("vendor", "code"),
    [("0x10de", "0x068000"), ("0x10de", "0x040300"), ("0x102b", "0x030000")],
    ids=["NVSwitch", "a GPU's sound", "a management controller's screen"],
)
def test_what_is_no_gpu_has_no_number(tmp_path: Path, vendor: str, code: str) -> None:
    node = _Node(tmp_path)
    node.tree.add_gpu("0000:10:01.0", node.below("10"), vendor=vendor, code=code)
    node.tree.add_gpu("0000:20:01.0", node.below("20"))

    assert node.gpus() == [None, 0, None]


def test_a_virtual_function_of_a_gpu_is_none(node: _Node) -> None:
    function = node.tree.add_gpu("0000:10:01.4", node.below("10"))
    (function / "physfn").mkdir()

    assert node.gpus() == [0, 1, 2]


def test_a_gpu_that_is_lent_to_a_guest_is_none(tmp_path: Path) -> None:
    """The driver, and so NVML, does not count it."""
    node = _Node(tmp_path)
    lent = node.tree.add_gpu("0000:10:01.0", node.below("10"))
    (lent / "driver").unlink()
    (lent / "driver").symlink_to(node.tree.sysfs / "bus" / "pci" / "drivers" / "vfio-pci")
    node.tree.add_gpu("0000:20:01.0", node.below("20"))

    assert node.gpus() == [None, 0, None]


@pytest.mark.parametrize("code", ["0x120000", "0x038000"])
def test_accelerators_of_amd_are_gpus_where_nvidia_has_none(tmp_path: Path, code: str) -> None:
    node = _Node(tmp_path)
    node.tree.add_gpu("0000:20:01.0", node.below("20"), vendor="0x1002", code=code)
    alone = node.gpus()
    node.tree.add_gpu("0000:30:01.0", node.below("30"))
    node.restart()

    assert (alone, node.gpus()) == ([None, 0, None], [None, None, 0])


def test_a_bus_that_does_not_change_is_not_read_again(node: _Node) -> None:
    watch = PciWatch(node.tree.sysfs)
    first = watch.look()
    for path in node.tree.sysfs.glob("devices/*/*/*/class"):
        path.unlink()

    assert (first, watch.look()) == (True, False)
    assert len(watch.gpus()) == 3


def test_a_bus_that_cannot_be_listed_leaves_the_pairs_as_they_were(node: _Node) -> None:
    before = node.gpus()
    directory = node.tree.sysfs / "bus" / "pci" / "devices"
    directory.rename(directory.with_name("elsewhere"))
    directory.write_text("a file in place of the directory")
    failures = [*node.inventory.collect()]

    assert [type(failure) for failure in failures] == [ReadFailure]
    assert [rail.gpu for rail in node.inventory.rails()] == before


def test_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(pci) == (0, 1)


@pytest.mark.parametrize(
    ("layout", "near"),
    [
        ({"n1": "pci0000:00/a/s", "g2": "pci0000:00/a/s", "g3": "pci0000:00/a"}, {2}),
        ({"n1": "pci0000:00/a/s", "g2": "pci0000:00/a/t", "g3": "pci0000:00/a"}, {2, 3}),
        ({"n1": "pci0000:00", "g2": "pci0000:00", "g3": "pci0000:00"}, set()),
        ({"n1": "pci0000:00/a"}, set()),
    ],
)
def test_the_gpus_that_a_rail_could_serve_are_all_below_the_nearest_bridge(
    layout: dict[str, str], near: set[int]
) -> None:
    places = _places(layout)
    gpus = {a: p for (name, _), (a, p) in zip(layout.items(), places.items(), strict=True)
            if name.startswith("g")}  # fmt: skip
    found = nearest(places["0000:01:00.0"], gpus)

    assert {int(gpu[5:7], 16) for gpu in found} == near
