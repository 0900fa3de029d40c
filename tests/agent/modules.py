"""Memories of modules, byte by byte as SFF-8472, SFF-8636 and CMIS place them.

No one's dump: the names are made up, the numbers are such as a healthy module has unless it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

HALF = 128
Half = tuple[int, int, bool]
"""Address on the bus, page, and whether it is the upper half."""

LOWER: Half = (0x50, 0x00, False)
UPPER: Half = (0x50, 0x00, True)
DIAGNOSTICS: Half = (0x51, 0x00, False)
Memory = dict[Half, bytes]


def page(number: int) -> Half:
    """Return the upper half of a page."""
    return (0x50, number, True)


def _half(values: Mapping[int, bytes], first: int = 0) -> bytes:
    """Return half a page with *values* at their bytes, numbered from *first*; 0 elsewhere."""
    made = bytearray(HALF)
    for at, value in values.items():
        made[at - first : at - first + len(value)] = value
    return bytes(made)


def _name(text: str) -> bytes:
    return text.encode().ljust(16)


def _u16(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def _celsius(degrees: float) -> bytes:
    return round(degrees * 256).to_bytes(2, "big", signed=True)


def sfp28() -> Memory:
    """A 25GBASE-SR module: 41.5 °C, 3.28 V, 6.5 mA, 0.8 mW sent and 0.5012 mW received."""
    identity = {0: b"\x03", 8: b"\x00", 20: _name("ACME OPTICS"), 40: _name("SFP28-SR")}
    identity |= {68: _name("A1B2C3"), 92: b"\x68"}
    alarms = {0: _celsius(75), 2: _celsius(-5), 4: _celsius(70), 6: _celsius(0)}
    alarms |= {24: _u16(22387, 1000, 17783, 1585), 32: _u16(22387, 200, 17783, 398)}
    measured = {96: _celsius(41.5), 98: _u16(32800, 3250, 8000, 5012)}
    return {LOWER: _half(identity), DIAGNOSTICS: _half(alarms | measured)}


def qsfp28() -> Memory:
    """A 100GBASE-SR4 module whose third lane is dark; 35.25 °C, 3.3 V."""
    lower = {0: b"\x11", 2: b"\x00", 22: _celsius(35.25), 26: _u16(33000)}
    lower |= {34: _u16(9000, 8000, 0, 7000), 42: _u16(3500, 3600, 3700, 3800)}
    lower |= {50: _u16(10000, 9500, 9900, 9700)}
    upper = {128: b"\x11", 147: b"\x00", 148: _name("ACME OPTICS"), 168: _name("Q28-SR4")}
    upper |= {196: _name("Q000000000000042"), 220: b"\x3c"}
    alarms = {128: _celsius(80), 130: _celsius(-10), 176: _u16(34674, 251), 192: _u16(34674, 500)}
    return {LOWER: _half(lower), UPPER: _half(upper, HALF), page(3): _half(alarms, HALF)}


def qsfp28_passive_copper() -> Memory:
    """A cable of two metres; its memory is flat."""
    upper = {128: b"\x11", 147: b"\xa0", 148: _name("ACME CABLE"), 168: _name("Q28-DAC-2M")}
    return {LOWER: _half({0: b"\x11", 2: b"\x04"}), UPPER: _half(upper, HALF)}


def qsfp_dd() -> Memory:
    """A 400GBASE-DR4 module: four lanes of light, 52 °C, 3.31 V, bias in steps of 4 µA."""
    lower = {0: b"\x18", 1: b"\x50", 2: b"\x00", 3: b"\x06", 14: _celsius(52), 16: _u16(33100)}
    upper = {128: b"\x18", 129: _name("ACME OPTICS"), 148: _name("QDD-DR4")}
    upper |= {166: _name("D4-0001"), 210: b"\xf0", 212: b"\x06"}
    monitors = {159: b"\x03", 160: b"\x0f"}
    alarms = {128: _celsius(75), 136: _u16(34650, 31350), 176: _u16(39811, 1995)}
    alarms |= {192: _u16(39811, 1000)}
    lanes = {154: _u16(11000, 11500, 12000, 12500), 170: _u16(12500, 12500, 12500, 12500)}
    lanes |= {186: _u16(8000, 500, 8200, 8300)}
    return {
        LOWER: _half(lower),
        UPPER: _half(upper, HALF),
        page(0x01): _half(monitors, HALF),
        page(0x02): _half(alarms, HALF),
        page(0x11): _half(lanes, HALF),
    }


def osfp() -> Memory:
    """As the QSFP-DD module, with eight lanes."""
    made = qsfp_dd()
    upper = bytearray(made[UPPER])
    upper[210 - HALF] = 0
    lanes = _half({154: _u16(*range(9001, 9009)), 186: _u16(*range(7001, 7009))}, HALF)
    lower = b"\x19" + made[LOWER][1:]
    return {**made, LOWER: lower, UPPER: bytes(upper), page(0x11): lanes}


def osfp_passive_copper() -> Memory:
    """A cable; its memory is flat."""
    upper = {129: _name("ACME CABLE"), 148: _name("OSFP-DAC-1M"), 166: _name("C-7"), 212: b"\x0a"}
    return {LOWER: _half({0: b"\x19", 2: b"\x80"}), UPPER: _half(upper, HALF)}


def osfp_active_copper() -> Memory:
    """A cable with retimers, which get warm; there is no light to measure."""
    upper = {129: _name("ACME CABLE"), 148: _name("OSFP-AEC-3M"), 212: b"\x0c"}
    return {
        **qsfp_dd(),
        LOWER: b"\x19" + qsfp_dd()[LOWER][1:],
        UPPER: _half(upper, HALF),
        page(0x01): _half({159: b"\x03"}, HALF),
    }


@dataclass
class FakeMemory:
    """The memory of one module; `error` is raised instead, `asked` is what was."""

    halves: Memory
    error: Exception | None = None
    asked: list[Half] = field(default_factory=list)

    def half(self, ifindex: int, page: int, *, is_upper: bool, address: int) -> bytes | None:
        """Return half a page."""
        assert ifindex == 7
        self.asked.append((address, page, is_upper))
        if self.error is not None:
            raise self.error
        return self.halves.get((address, page, is_upper))
