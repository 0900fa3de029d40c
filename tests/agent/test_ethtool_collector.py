"""The ethtool collector on statistics of real drivers: what becomes of them and what does not."""

import errno
import logging
import os
from collections.abc import Sequence

import pytest

from agent import drivers
from agent.ethtool_rail import EthtoolRail
from agent.fakes import rail
from agent.readings import golden, promtool_says, value, values
from railwatch.catalogue import METRICS
from railwatch.catalogue.metric import MetricType, ReadFailure, Sample
from railwatch.catalogue.rail import (
    ETHTOOL_STATISTIC,
    RAIL_FAULTS,
    RAIL_FEC_CORRECTED_BITS,
    RAIL_PAUSE_SECONDS,
    RAIL_PCIE_STALLED,
    RAIL_RECEIVED_BITS,
    Fault,
)
from railwatch.exposition import Renderer
from railwatch_agent.collectors.ethtool_tables import TABLES
from railwatch_agent.collectors.pacing import RETRY_SECONDS
from railwatch_agent.settings import EthtoolSettings
from railwatch_agent.sources.errors import NotPermittedError, SourceError
from railwatch_agent.sources.fec import Fec

_NETDEV_KINDS = {"link_downed", "receive_error", "receive_discard", "transmit_discard"}
_TCP_KINDS = {"retransmit", "out_of_sequence"}


def _ethtool(
    kept: dict[str, int] | None,
    *,
    fec: Fec | None = None,
    allowed: Sequence[str] = (),
    **facts: object,
) -> EthtoolRail:
    made = EthtoolRail(kept, settings=EthtoolSettings(statistics=tuple(allowed)), **facts)
    made.answers.fec.value = fec
    return made


def test_mlx5_pauses_are_seconds_of_all_priorities() -> None:
    found = values(_ethtool(drivers.mlx5()).collect(), RAIL_PAUSE_SECONDS)

    assert found == {("receive",): pytest.approx(3.0), ("transmit",): pytest.approx(7e-6)}


def test_a_global_pause_is_not_added_to_the_priority_that_it_is_kept_in() -> None:
    kept = drivers.mlx5() | {"rx_global_pause_duration": 2_500_000}

    assert values(_ethtool(kept).collect(), RAIL_PAUSE_SECONDS)["receive",] == pytest.approx(3.0)
    alone = _ethtool({"rx_global_pause_duration": 2_500_000})
    assert values(alone.collect(), RAIL_PAUSE_SECONDS) == {("receive",): pytest.approx(2.5)}


def test_mlx5_faults_are_those_that_the_kernel_does_not_count() -> None:
    """CRC errors are in netdev's receive_error, prioN_discards in rx_discards_phy."""
    ethtool = _ethtool(drivers.mlx5(), fec=Fec(10**6, 4, 31 * 10**9))

    assert values(ethtool.collect(), RAIL_FAULTS) == {
        ("symbol_error",): 6,
        ("port_receive_discard",): 17,
        ("port_transmit_discard",): 1,
        ("fec_uncorrected",): 4,
    }


def test_symbol_errors_of_two_layers_are_not_added_up() -> None:
    kept = {"rx_symbol_err_phy": 2}

    assert values(_ethtool(kept).collect(), RAIL_FAULTS) == {("symbol_error",): 2}


def test_corrected_bits_of_a_pam4_link_are_no_fault() -> None:
    """Trap: they are routine; a share of the received bits is what can be judged."""
    calm, busy = drivers.mlx5(), drivers.mlx5() | {"rx_corrected_bits_phy": 10**15}
    calm_readings, busy_readings = _ethtool(calm).collect(), _ethtool(busy).collect()

    assert values(calm_readings, RAIL_FAULTS) == values(busy_readings, RAIL_FAULTS)
    assert value(busy_readings, RAIL_FEC_CORRECTED_BITS) == 10**15
    assert value(busy_readings, RAIL_RECEIVED_BITS) == 64 * 10**15


def test_pcie_stalls_are_a_share_and_no_counter() -> None:
    """Trap: outbound_pci_stalled is percent of the last second, not cumulative."""
    found = values(_ethtool(drivers.mlx5()).collect(), RAIL_PCIE_STALLED)

    assert found == {("receive",): pytest.approx(0.05), ("transmit",): pytest.approx(0.4)}
    assert RAIL_PCIE_STALLED.type is MetricType.GAUGE


def test_bnxt() -> None:
    readings = _ethtool(drivers.bnxt(), driver="bnxt_en").collect()

    assert values(readings, RAIL_PAUSE_SECONDS) == {("receive",): 1.0, ("transmit",): 0.25}
    assert value(readings, RAIL_FEC_CORRECTED_BITS) == 10**9
    assert values(readings, RAIL_FAULTS) == {
        ("fec_uncorrected",): 2,
        ("symbol_error",): 3,
        ("port_receive_discard",): 8,
    }


def test_ionic() -> None:
    """A pause of the port is none of a priority, and is added to theirs."""
    readings = _ethtool(drivers.ionic(), driver="ionic").collect()

    assert values(readings, RAIL_PAUSE_SECONDS) == {("receive",): 1.75, ("transmit",): 0.125}
    assert value(readings, RAIL_RECEIVED_BITS) == 10**15
    assert values(readings, RAIL_FAULTS) == {("port_receive_discard",): 5}


def test_a_driver_that_is_not_known_is_asked_for_fec_only() -> None:
    ethtool = _ethtool(drivers.mlx5(), driver="ice", fec=Fec(None, 3, 5))
    readings = ethtool.collect()

    assert values(readings, RAIL_FAULTS) == {("fec_uncorrected",): 3}
    assert value(readings, RAIL_FEC_CORRECTED_BITS) == 5
    assert ethtool.statistics.opened == 0


def test_no_series_comes_from_two_sources() -> None:
    """FEC counters of the driver's own list win over those of netlink."""
    ethtool = _ethtool(drivers.bnxt(), driver="bnxt_en", fec=Fec(1, 2, 3))
    readings = [r for r in ethtool.collect() if isinstance(r, Sample)]

    keys = [(reading.spec.name, reading.labels) for reading in readings]
    assert len(keys) == len(set(keys))
    assert value(readings, RAIL_FEC_CORRECTED_BITS) == 10**9


@pytest.mark.parametrize("driver", sorted(TABLES))
def test_no_fault_is_one_that_another_collector_counts(driver: str) -> None:
    kinds = {rule.label[0] for rule in TABLES[driver] if rule.spec is RAIL_FAULTS}

    assert not kinds & (_NETDEV_KINDS | _TCP_KINDS)
    assert kinds <= set(Fault)


def test_faults_of_an_infiniband_port_are_left_to_its_rdma_device() -> None:
    ethtool = _ethtool(drivers.mlx5(), kind="infiniband", fec=Fec(1, 2, 3))

    assert values(ethtool.collect(), RAIL_FAULTS) == {}
    assert ethtool.answers.fec.asked == 0


def test_what_is_allowed_is_exposed_as_it_is() -> None:
    ethtool = _ethtool(drivers.mlx5(), allowed=["rx_prio3_pause", "rx1_packets", "no_such"])

    assert values(ethtool.collect(), ETHTOOL_STATISTIC) == {
        ("rail0", "rx_prio3_pause"): 2,
        ("rail0", "rx1_packets"): 250,
    }


def test_nothing_is_allowed_unless_it_is_named_exactly() -> None:
    """A pattern would let a series for each queue of each rail through."""
    for allowed in ([], ["rx*_packets"], ["rx_packet"], ["RX_PACKETS"]):
        ethtool = _ethtool(drivers.mlx5(queues=64), allowed=allowed)
        assert values(ethtool.collect(), ETHTOOL_STATISTIC) == {}


def test_one_statistic_that_is_missing_costs_its_series_only() -> None:
    whole = _ethtool(drivers.mlx5()).collect()
    kept = drivers.mlx5()
    del kept["rx_discards_phy"]

    assert len(_ethtool(kept).collect()) == len(whole) - 1


def test_statistics_that_cannot_be_read_cost_nothing_else() -> None:
    ethtool = _ethtool(drivers.mlx5(), fec=Fec(1, 2, 3))
    ethtool.statistics.error = SourceError("EIO")
    readings = ethtool.collect()

    assert [r for r in readings if isinstance(r, ReadFailure)] == [
        ReadFailure("statistics of rail0", "EIO")
    ]
    assert values(readings, RAIL_FAULTS) == {("fec_uncorrected",): 2}


def test_fec_that_cannot_be_read_costs_nothing_else() -> None:
    ethtool = _ethtool(drivers.mlx5())
    ethtool.answers.fec.error = SourceError("EIO")
    readings = ethtool.collect()

    assert ReadFailure("FEC counters of rail0", "EIO") in readings
    assert len(values(readings, RAIL_FAULTS)) == 3


def test_a_rail_that_is_gone_has_nothing_to_say() -> None:
    ethtool = _ethtool(drivers.mlx5(), ifindex=None)

    assert ethtool.collect() == []
    assert ethtool.statistics.asked == []
    ethtool.rails.clear()
    assert ethtool.collect() == []


def test_a_device_that_comes_back_is_asked_anew() -> None:
    ethtool = _ethtool(drivers.mlx5())
    ethtool.collect()
    ethtool.rails = [rail(ifindex=None)]
    ethtool.collect()
    ethtool.rails = [rail()]
    ethtool.collect()

    assert ethtool.statistics.opened == 2


def test_a_slow_device_is_read_so_seldom_that_it_costs_one_percent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """0.2 s a read is 20 s of rest; counters stand still meanwhile, gauges are not repeated."""
    caplog.set_level(logging.INFO)
    ethtool = _ethtool(drivers.mlx5())
    ethtool.seconds = 0.2
    rounds = [ethtool.collect() for _ in range(20)]
    seconds = 20 * ethtool.collector.interval_seconds

    assert 0.2 * len(ethtool.statistics.asked) <= 0.011 * seconds
    assert all(values(readings, RAIL_FAULTS) for readings in rounds)
    shown = sum(bool(values(readings, RAIL_PCIE_STALLED)) for readings in rounds)
    assert shown == len(ethtool.statistics.asked)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "statistics of rail0: took 0.200 s to read; will be read every 20 s" in (caplog.text)


def test_a_device_that_is_quick_again_is_read_again_in_each_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    ethtool = _ethtool(drivers.mlx5())
    ethtool.seconds = 0.2
    ethtool.collect()
    ethtool.seconds = 0.001
    for _ in range(10):
        ethtool.collect()

    assert len(ethtool.statistics.asked) >= 6
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize("error", [None, NotPermittedError("cannot read: EPERM")])
def test_what_is_not_there_or_not_permitted_is_asked_for_seldom(error: Exception | None) -> None:
    """Trap: some functions write every such question into the kernel's log."""
    ethtool = _ethtool(None)
    ethtool.statistics.error = error
    failures = [[r for r in ethtool.collect() if isinstance(r, ReadFailure)] for _ in range(60)]

    assert len(ethtool.statistics.asked) == 60 * 5 / RETRY_SECONDS
    assert all(bool(found) is (error is not None) for found in failures)


def test_an_error_is_asked_for_again_in_the_next_round() -> None:
    ethtool = _ethtool(drivers.mlx5())
    ethtool.statistics.error = SourceError(os.strerror(errno.EIO))
    ethtool.collect()
    ethtool.statistics.error = None

    assert values(ethtool.collect(), RAIL_FAULTS)


def test_an_error_that_does_not_end_is_asked_for_less_and_less_often() -> None:
    ethtool = _ethtool(drivers.mlx5())
    ethtool.statistics.error = SourceError("EIO")
    for _ in range(240):
        assert ethtool.collect()

    # 5, 10, 20 … 160 and then 300 s apart: after 0, 5, 15, 35, 75, 155, 315, 615 and 915 s of 1195.
    assert len(ethtool.statistics.asked) == 9


@pytest.mark.parametrize("driver", ["mlx5_core", "bnxt_en"])
def test_the_exposition_is_the_golden_one_and_promtool_likes_it(driver: str) -> None:
    """`RAILWATCH_GOLDEN=1` rewrites it; the difference is to be read."""
    kept = {"mlx5_core": drivers.mlx5, "bnxt_en": drivers.bnxt}[driver]()
    allowed = ["rx_prio3_pause", "rx_pfc_ena_frames_pri3"]
    fec = Fec(10**6, 4, 31 * 10**9)
    readings = _ethtool(kept, driver=driver, allowed=allowed, fec=fec).collect()
    order = {spec: number for number, spec in enumerate(METRICS)}
    samples = sorted(
        (r for r in readings if isinstance(r, Sample)), key=lambda sample: order[sample.spec]
    )
    text = Renderer().render(samples).decode()

    assert text == golden(f"ethtool_{driver}.prom", text)
    # The contract counts single bits: what FEC corrects is no amount of data to give in bytes.
    assert [line for line in promtool_says(text) if '"bits"' not in line] == []
