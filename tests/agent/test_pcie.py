"""The PCIe link of a rail, on a tree: what is read, and what is left out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fakes import rail
from agent.readings import Readings, value, values
from railwatch.catalogue.metric import ReadFailure, Sample
from railwatch.catalogue.rail import (
    RAIL_PCIE_BANDWIDTH_RATIO,
    RAIL_PCIE_ERRORS,
    RAIL_PCIE_GENERATION,
    RAIL_PCIE_WIDTH,
)
from railwatch_agent.collectors.pcie import PcieCollector
from railwatch_agent.sources.pcie import parse_error_total, parse_generation, parse_width

_FILES = {
    "current_link_speed": "16.0 GT/s PCIe\n",
    "max_link_speed": "32.0 GT/s PCIe\n",
    "current_link_width": "8\n",
    "max_link_width": "16\n",
    "aer_dev_correctable": "RxErr 1\nBadTLP 4\nTimeout 0\nTOTAL_ERR_COR 5\n",
    "aer_dev_nonfatal": "Undefined 0\nDLP 2\nTOTAL_ERR_NONFATAL 2\n",
    "aer_dev_fatal": "Undefined 0\nDLP 0\nTOTAL_ERR_FATAL 0\n",
}


class _Function:
    """A rail's PCI function in a tree of its own."""

    def __init__(self, root: Path) -> None:
        self.sysfs = root
        self.rails = [rail()]
        self.directory = root / "bus" / "pci" / "devices" / "0000:3b:00.0"
        self.directory.mkdir(parents=True)
        for name, text in _FILES.items():
            (self.directory / name).write_text(text)

    def collect(self) -> Readings:
        """Return one round."""
        collector = PcieCollector(0, rails=lambda: tuple(self.rails), sysfs=self.sysfs)
        return list(collector.collect())


def test_a_link_that_came_up_narrow_and_slow(tmp_path: Path) -> None:
    readings = _Function(tmp_path).collect()

    assert value(readings, RAIL_PCIE_WIDTH) == 8
    assert value(readings, RAIL_PCIE_GENERATION) == 4
    # Half the lanes at half the rate; generations 4 and 5 are encoded alike.
    assert value(readings, RAIL_PCIE_BANDWIDTH_RATIO) == 0.25
    assert values(readings, RAIL_PCIE_ERRORS) == {
        ("correctable",): 5,
        ("nonfatal",): 2,
        ("fatal",): 0,
    }


def test_a_function_without_error_reporting_has_no_series_of_it(tmp_path: Path) -> None:
    function = _Function(tmp_path)
    for path in function.directory.glob("aer_*"):
        path.unlink()
    readings = function.collect()

    assert values(readings, RAIL_PCIE_ERRORS) == {}
    assert len(readings) == 3


def test_a_link_that_is_down_has_neither_width_nor_speed(tmp_path: Path) -> None:
    function = _Function(tmp_path)
    (function.directory / "current_link_speed").write_text("Unknown\n")
    (function.directory / "current_link_width").write_text("63\n")
    readings = function.collect()

    assert value(readings, RAIL_PCIE_WIDTH) is None
    assert value(readings, RAIL_PCIE_GENERATION) is None
    assert value(readings, RAIL_PCIE_BANDWIDTH_RATIO) is None
    assert len(readings) == 3


@pytest.mark.parametrize("name", sorted(_FILES))
@pytest.mark.parametrize("text", [None, "what\n", "-1\n"])
def test_one_file_that_cannot_be_read_costs_one_reading(
    tmp_path: Path, name: str, text: str | None
) -> None:
    function = _Function(tmp_path)
    path = function.directory / name
    path.unlink()
    if text is None:
        path.mkdir()
    else:
        path.write_text(text)
    readings = function.collect()

    # Three files are counters, two are shown, and the ratio is made of four.
    lost = {"max_link_speed": 1, "max_link_width": 1} | dict.fromkeys(
        ("current_link_speed", "current_link_width"), 2
    )
    assert len([r for r in readings if isinstance(r, ReadFailure)]) == 1
    assert len([r for r in readings if isinstance(r, Sample)]) == 6 - lost.get(name, 1)


@pytest.mark.parametrize("facts", [{"ifindex": None}, {"pci_address": None}])
def test_a_rail_that_is_gone_or_has_no_pci_function_has_no_link(
    tmp_path: Path, facts: dict[str, object]
) -> None:
    function = _Function(tmp_path)
    function.rails = [rail(**facts)]

    assert function.collect() == []


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_generation, parse_width, parse_error_total):
        try:
            parse(text)
        except ValueError:
            continue
