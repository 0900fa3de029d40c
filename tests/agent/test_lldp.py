"""What becomes of what lldpd says, with a library that speaks a protocol of the test's own.

The real one, against the real lldpd, is in the lab (tests/lab/test_lldp_kernel.py).
"""

import doctest
import errno
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch_agent.sources import lldp
from railwatch_agent.sources.errors import SourceError
from railwatch_agent.sources.lldp import (
    LldpReader,
    LldpUnavailableError,
    choose,
    clean,
    name_port,
)
from railwatch_agent.sources.lldpctl import Channel, Heard, LldpctlError
from railwatch_agent.sources.topology import Neighbor

_BRIDGE, _STATION = 0x04, 0x80
_IFNAME, _MAC, _LOCAL = 5, 3, 7


def _heard(interface: str = "rail0", **changes: object) -> Heard:
    facts: dict[str, object] = {
        "interface": interface,
        "chassis_id": b"00:11:22:33:44:55",
        "chassis_name": b"leaf1",
        "capabilities": _BRIDGE,
        "port_subtype": _IFNAME,
        "port_id": b"swp1",
        "port_description": b"to node01",
    }
    return Heard(**{**facts, **changes})  # type: ignore[arg-type] # the facts are a neighbour's


class _Library:
    """Sends `?`, and takes each byte of the answer as one neighbour, until a full stop."""

    def heard(self, channel: Channel, interfaces: Collection[str]) -> list[Heard]:
        """Return a neighbour for each byte."""
        channel.send(b"?")
        found = []
        while (byte := channel.receive(1)) != b".":
            if not byte:
                raise LldpctlError("end of file")
            found.append(_heard(min(interfaces), port_id=byte))
        return found


@contextmanager
def _lldpd(path: Path, talk: Callable[[socket.socket], object]) -> Iterator[None]:
    """Answer one connection by *talk*."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()

    def answer() -> None:
        with listening.accept()[0] as accepted:
            talk(accepted)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listening.close()


def _read(path: Path, timeout_seconds: float = 30.0) -> dict[str, Neighbor]:
    return LldpReader(path, timeout_seconds=timeout_seconds, load=_Library).read({"rail0"})


def test_neighbours_are_those_that_the_library_hears(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with _lldpd(path, lambda s: (s.recv(1), s.sendall(b"7."))):
        found = _read(path)

    assert found == {"rail0": Neighbor("leaf1", "7")}


def test_who_never_answers_costs_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with (
        _lldpd(path, lambda s: (s.recv(1), s.recv(1))),
        pytest.raises(SourceError, match=r"no answer within 0\.05 s"),
    ):
        _read(path, 0.05)


def test_who_talks_slowly_cannot_draw_it_out(tmp_path: Path) -> None:
    """Each byte comes soon enough, and there is no end of them."""
    path = tmp_path / "socket"

    def drip(accepted: socket.socket) -> None:
        accepted.settimeout(0.01)
        while True:
            try:
                accepted.sendall(b"7")
                if accepted.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    with _lldpd(path, drip), pytest.raises(SourceError, match="no answer within"):
        _read(path, 0.1)


def test_who_hangs_up_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with _lldpd(path, lambda s: s.recv(1)), pytest.raises(SourceError, match="end of file"):
        _read(path)


def test_a_socket_that_nobody_listens_to_is_a_fault(tmp_path: Path) -> None:
    """Lldpd was killed: one that ends takes its socket away."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))

    with pytest.raises(SourceError, match="Connection refused"):
        _read(path)


def test_a_node_without_lldpd_has_nothing_to_complain_of(tmp_path: Path) -> None:
    with pytest.raises(LldpUnavailableError, match="lldpd does not run") as caught:
        _read(tmp_path / "socket")

    assert not caught.value.is_refusal


@pytest.mark.parametrize("kind", [OSError, MemoryError])
def test_a_library_that_cannot_be_loaded_is_no_fault(tmp_path: Path, kind: type[Exception]) -> None:
    def load() -> _Library:
        raise kind("liblldpctl.so.4: cannot open shared object file")

    path = tmp_path / "socket"
    with (
        _lldpd(path, lambda s: s.recv(1)),
        pytest.raises(LldpUnavailableError, match="cannot open shared object"),
    ):
        LldpReader(path, load=load).read({"rail0"})


def test_a_permission_that_is_missing_is_said_and_is_no_fault(tmp_path: Path) -> None:
    """As root everything may be opened, so that the library says it here."""

    class Forbidden:
        def heard(self, _channel: Channel, _interfaces: Collection[str]) -> list[Heard]:
            raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "socket"
    with (
        _lldpd(path, lambda s: s.recv(1)),
        pytest.raises(LldpUnavailableError, match="Permission denied; only the group") as caught,
    ):
        LldpReader(path, load=Forbidden).read({"rail0"})

    assert caught.value.is_refusal


def test_a_switch_is_named_before_a_host_and_then_by_name() -> None:
    heard = [
        _heard("rail0", chassis_name=b"a host", capabilities=_STATION),
        _heard("rail0", chassis_name=b"leaf2"),
        _heard("rail0", chassis_name=b"leaf1"),
        _heard("rail1", chassis_name=b"a host", capabilities=_STATION),
        _heard("rail2", chassis_name=b"", capabilities=0),
    ]

    assert (
        choose(heard)
        == choose(reversed(heard))
        == {
            "rail0": Neighbor("leaf1", "swp1"),
            "rail1": Neighbor("a host", "swp1"),
            "rail2": Neighbor("00:11:22:33:44:55", "swp1"),
        }
    )


@pytest.mark.parametrize(
    ("subtype", "name", "description", "expected"),
    [
        (_IFNAME, b"Ethernet1/1", b"to node01", "Ethernet1/1"),
        (_IFNAME, b"505", b"to node01", "505"),
        (_LOCAL, b"Eth1/1", b"to node01", "Eth1/1"),
        (_LOCAL, b"505", b"et-0/0/1", "et-0/0/1"),
        (_LOCAL, b"505", b"", "505"),
        (_MAC, b"00:11:22:33:44:55", b"swp1", "swp1"),
        (_MAC, b"00:11:22:33:44:55", b"", "00:11:22:33:44:55"),
        (_LOCAL, "²".encode(), b"x", "²"),
    ],
)
def test_a_port_has_the_name_that_people_know(
    subtype: int, name: bytes, description: bytes, expected: str
) -> None:
    heard = _heard(port_subtype=subtype, port_id=name, port_description=description)

    assert name_port(heard) == expected


@given(text=st.binary(max_size=300))
def test_whatever_comes_off_the_wire_can_be_shown(text: bytes) -> None:
    shown = clean(text)

    assert shown.isprintable()
    assert len(shown) <= 128


def test_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(lldp) == (0, 1)
