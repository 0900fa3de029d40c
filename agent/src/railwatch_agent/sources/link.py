# SPDX-License-Identifier: Apache-2.0
"""The settings of a link, and why it is down, by ethtool's netlink family.

Knowledge: linux/ethtool_netlink.h, linux/ethtool.h (PORT_*, DUPLEX_*, enum ethtool_link_ext_state),
Documentation/networking/ethtool-netlink.rst. None of the questions needs a privilege.

    LINKINFO_GET    ETHTOOL_A_LINKINFO_PORT u8
    LINKMODES_GET   ETHTOOL_A_LINKMODES_AUTONEG u8, _DUPLEX u8, _LANES u32 (Linux 5.13)
    LINKSTATE_GET   ETHTOOL_A_LINKSTATE_LINK u8, _EXT_STATE u8, _EXT_SUBSTATE u8 (Linux 5.9)
    PAUSE_GET       ETHTOOL_A_PAUSE_AUTONEG u8, _RX u8, _TX u8

The kernel asks a driver for the extended state only while the device is administratively up, and
drivers tell one only while the link is down. Signal quality (SQI) is of automotive PHYs only, and
the count of link-downs is of the same events as the kernel's carrier_down_count.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from railwatch_agent.sources.ethtool_netlink import Question, find_u8, find_u32

LINK_INFO: Final = Question("connector", 2)
LINK_MODES: Final = Question("link modes", 4)
LINK_STATE: Final = Question("link state", 6)
PAUSE: Final = Question("pause settings", 21)

_INFO_PORT: Final = 2
_MODES_AUTONEGOTIATION: Final = 2
_MODES_DUPLEX: Final = 6
_MODES_LANES: Final = 9
_STATE_LINK: Final = 2
_STATE_REASON: Final = 5
_STATE_DETAIL: Final = 6
_PAUSE_AUTONEGOTIATION: Final = 2
_PAUSE_RECEIVE: Final = 3
_PAUSE_TRANSMIT: Final = 4

_PORTS: Final = {
    0x00: "twisted_pair",
    0x01: "aui",
    0x02: "mii",
    0x03: "fibre",
    0x04: "bnc",
    0x05: "direct_attach",
    0xEF: "none",
    0xFF: "other",
}
_DUPLEXES: Final = {0: "half", 1: "full"}

# Each reason with the details that the kernel knows of it, in the order of their numbers from 1.
_REASONS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "autonegotiation",
        (
            "no_partner_detected",
            "ack_not_received",
            "next_page_exchange_failed",
            "no_partner_detected_force_mode",
            "fec_mismatch_during_override",
            "no_common_mode",
        ),
    ),
    (
        "link_training_failure",
        (
            "frame_lock_not_acquired",
            "link_inhibit_timeout",
            "partner_receiver_not_ready",
            "remote_fault",
        ),
    ),
    (
        "link_logical_mismatch",
        (
            "pcs_no_block_lock",
            "pcs_no_alignment_marker_lock",
            "pcs_no_align_status",
            "fc_fec_not_locked",
            "rs_fec_not_locked",
        ),
    ),
    (
        "bad_signal_integrity",
        (
            "many_physical_errors",
            "unsupported_rate",
            "serdes_reference_clock_lost",
            "serdes_loss_of_signal",
        ),
    ),
    ("no_cable", ()),
    ("cable_issue", ("unsupported_cable", "cable_test_failure")),
    ("eeprom_issue", ()),
    ("calibration_failure", ()),
    ("power_budget_exceeded", ()),
    ("overheat", ()),
    ("module", ("cmis_not_ready",)),
)


class LinkModes(NamedTuple):
    """How a link was set up; None where that is not told."""

    autonegotiates: bool | None
    duplex: str | None
    lanes: int | None


class LinkState(NamedTuple):
    """Whether there is a link, and why there is none; None where that is not told."""

    is_up: bool | None
    down_reason: str | None


class PauseSettings(NamedTuple):
    """Whether global pause frames are heeded and sent; None where that is not told."""

    autonegotiates: bool | None
    receives: bool | None
    transmits: bool | None


def reason_name(reason: int, detail: int | None) -> str:
    """Return a name for an extended link state; numbers that this version does not know stay.

    >>> reason_name(4, None), reason_name(0, 1), reason_name(99, 3)
    ('no_cable', 'autonegotiation/no_partner_detected', '99/3')
    """
    name, details = _REASONS[reason] if reason < len(_REASONS) else (str(reason), ())
    if not detail:
        return name
    return f"{name}/{details[detail - 1] if detail <= len(details) else detail}"


def parse_port(data: bytes, start: int, end: int) -> str | None:
    """Return the connector from an ETHTOOL_MSG_LINKINFO_GET_REPLY."""
    port = find_u8(data, start, end, _INFO_PORT)
    return None if port is None else _PORTS.get(port, str(port))


def parse_modes(data: bytes, start: int, end: int) -> LinkModes:
    """Return what an ETHTOOL_MSG_LINKMODES_GET_REPLY says."""
    duplex = find_u8(data, start, end, _MODES_DUPLEX)
    return LinkModes(
        _flag(data, start, end, _MODES_AUTONEGOTIATION),
        None if duplex is None else _DUPLEXES.get(duplex),
        find_u32(data, start, end, _MODES_LANES) or None,
    )


def parse_state(data: bytes, start: int, end: int) -> LinkState:
    """Return what an ETHTOOL_MSG_LINKSTATE_GET_REPLY says."""
    reason = find_u8(data, start, end, _STATE_REASON)
    detail = find_u8(data, start, end, _STATE_DETAIL)
    return LinkState(
        _flag(data, start, end, _STATE_LINK),
        None if reason is None else reason_name(reason, detail),
    )


def parse_pause(data: bytes, start: int, end: int) -> PauseSettings:
    """Return what an ETHTOOL_MSG_PAUSE_GET_REPLY says."""
    return PauseSettings(
        _flag(data, start, end, _PAUSE_AUTONEGOTIATION),
        _flag(data, start, end, _PAUSE_RECEIVE),
        _flag(data, start, end, _PAUSE_TRANSMIT),
    )


def _flag(data: bytes, start: int, end: int, kind: int) -> bool | None:
    value = find_u8(data, start, end, kind)
    return None if value is None else value != 0
