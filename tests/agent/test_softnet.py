"""Softnet drops: parsed from what kernels of each age write, and summed up over wraps."""

import doctest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.readings import Readings, value
from agent.trees import Tree
from railwatch import rates
from railwatch.catalogue.metric import ReadFailure
from railwatch.catalogue.node import HOST_SOFTNET_DROPPED, HOST_SOFTNET_SQUEEZED
from railwatch.rates import unwrapped
from railwatch_agent.collectors.host import HostCollector
from railwatch_agent.sources import host
from railwatch_agent.sources.host import HostSource, Softnet, parse_softnet

_RANGE = 2**32


def _line(dropped: int, squeezed: int, processor: int | None = None) -> str:
    """A line as net/core/net-procfs.c writes it: 11 columns, or on newer kernels more."""
    columns = [0x604, dropped, squeezed, 0, 0, 0, 0, 0, 0, 7, 3]
    if processor is not None:
        columns += [1, processor, 5, 6]
    return " ".join(f"{column:08x}" for column in columns) + "\n"


class _Host:
    """A host whose processors drop what the test says."""

    def __init__(self, root: Path) -> None:
        self.tree = Tree(root)
        self.collector = HostCollector(HostSource(self.tree.procfs))

    def collect(self, text: str) -> Readings:
        """Return the round that finds *text*."""
        (self.tree.procfs / "net" / "softnet_stat").write_text(text)
        return list(self.collector.collect())

    def dropped(self, *processors: tuple[int, int]) -> object:
        """Return the total after processors have dropped so many, each by its number."""
        text = "".join(_line(dropped, 0, number) for number, dropped in processors)
        return value(self.collect(text), HOST_SOFTNET_DROPPED)


def test_a_processor_has_its_own_number() -> None:
    assert parse_softnet(_line(2, 9, 0) + _line(3, 8, 5)) == {0: Softnet(2, 9), 5: Softnet(3, 8)}


def test_on_an_older_kernel_the_line_is_the_processor() -> None:
    assert parse_softnet(_line(2, 9) + _line(3, 8)) == {0: Softnet(2, 9), 1: Softnet(3, 8)}


def test_this_kernel_is_understood() -> None:
    found = HostSource(Path("/proc")).softnet()

    assert found
    assert all(0 <= number < _RANGE for counted in found.values() for number in counted)


@given(text=st.text(max_size=80) | st.text("0123456789abcdef \n", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_softnet(text)
    except ValueError:
        return
    assert all(0 <= number < 8192 for number in found)


def test_drops_of_all_processors_are_added_up(tmp_path: Path) -> None:
    readings = _Host(tmp_path).collect(_line(2, 9, 0) + _line(3, 8, 1))

    assert value(readings, HOST_SOFTNET_DROPPED) == 5
    assert value(readings, HOST_SOFTNET_SQUEEZED) == 17


def test_a_counter_of_32_bits_that_wraps_goes_on(tmp_path: Path) -> None:
    node = _Host(tmp_path)

    assert node.dropped((0, _RANGE - 10), (1, 4)) == _RANGE - 6
    assert node.dropped((0, 5), (1, 4)) == _RANGE + 9
    assert node.dropped((0, 6), (1, 4)) == _RANGE + 10


def test_the_only_processor_wraps_too(tmp_path: Path) -> None:
    node = _Host(tmp_path)

    assert node.dropped((0, _RANGE - 10)) == _RANGE - 10
    assert node.dropped((0, 5)) == _RANGE + 5


def test_a_counter_that_begins_anew_is_no_wrap(tmp_path: Path) -> None:
    """Nothing known resets it but a boot; if something did, four billion drops would be made up."""
    node = _Host(tmp_path)
    node.dropped((0, 7000), (1, 4))

    assert node.dropped((0, 5), (1, 4)) == 7004
    assert node.dropped((0, 8), (1, 4)) == 7007


def test_a_processor_that_goes_offline_and_returns_makes_no_jump(tmp_path: Path) -> None:
    node = _Host(tmp_path)
    node.dropped((0, 100), (1, 50))

    assert node.dropped((0, 101)) == 151
    assert node.dropped((0, 101), (1, 52)) == 153


def test_a_host_without_softnet_figures_has_none(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.procfs / "net" / "softnet_stat").unlink()
    readings = list(HostCollector(HostSource(tree.procfs)).collect())

    assert value(readings, HOST_SOFTNET_DROPPED) is None
    assert not [r for r in readings if isinstance(r, ReadFailure)]


@pytest.mark.parametrize("text", ["nonsense\n", "00000001\n"])
def test_figures_that_make_no_sense_cost_softnet_only(tmp_path: Path, text: str) -> None:
    readings = _Host(tmp_path).collect(text)

    assert [r.what for r in readings if isinstance(r, ReadFailure)] == ["softnet"]
    assert len(readings) > 3


@given(begin=st.integers(0, _RANGE - 1), steps=st.lists(st.integers(0, _RANGE // 2 - 1)))
def test_growth_is_not_lost_in_wraps(begin: int, steps: list[int]) -> None:
    known, true = unwrapped(None, begin, 32), begin
    for step in steps:
        true += step
        known = unwrapped(known, true % _RANGE, 32)

    assert known == true


def test_examples() -> None:
    assert doctest.testmod(host).failed == 0
    assert doctest.testmod(rates).failed == 0
