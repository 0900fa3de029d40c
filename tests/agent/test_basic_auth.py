"""Passwords: which are right, what it costs to try them, and what a flood of wrong ones does."""

import base64
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch.web.basic_auth import Admission, Passwords, parse_basic

_USERS = {"alice": b"hash of secret", "bob": b"hash of other"}


class Slow:
    """Stands for bcrypt: takes a second of a clock of its own, and counts."""

    def __init__(self) -> None:
        self.now = 100.0
        self.tried: list[bytes] = []
        self.rests: list[float] = []

    def matches(self, password: bytes, hashed: bytes) -> bool:
        """Whether *hashed* is `hash of` the password."""
        self.now += 0.1
        self.tried.append(password)
        return hashed == b"hash of " + password

    def rest(self, seconds: float) -> None:
        """Let the time pass."""
        self.rests.append(round(seconds, 3))
        self.now += seconds

    def passwords(self) -> Passwords:
        """Return what is tested."""
        return Passwords(self.matches, monotonic=lambda: self.now, rest=self.rest)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_right_password_is_tried_once() -> None:
    slow = Slow()
    passwords = slow.passwords()

    admissions = [passwords.judge(_USERS, _basic("alice", "secret")) for _ in range(3)]

    assert admissions == [Admission.GRANTED] * 3
    assert slow.tried == [b"secret"]


def test_a_wrong_password_is_tried_once_and_the_next_one_waits() -> None:
    slow = Slow()
    passwords = slow.passwords()

    first = [passwords.judge(_USERS, _basic("alice", "wrong")) for _ in range(3)]
    second = passwords.judge(_USERS, _basic("alice", "worse"))

    assert [*first, second] == [Admission.REFUSED] * 4
    assert slow.tried == [b"wrong", b"worse"]
    # Nine times as long as the try took.
    assert slow.rests == [0.0, 0.9]


def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    slow = Slow()

    # The password of the one whose hash is taken in its place.
    admission = slow.passwords().judge(_USERS, _basic("mallory", "secret"))

    assert admission is Admission.REFUSED
    assert slow.tried == [b"secret"]


def test_a_changed_hash_is_a_new_question() -> None:
    slow = Slow()
    passwords = slow.passwords()
    before = passwords.judge(_USERS, _basic("alice", "secret"))

    after = passwords.judge({"alice": b"hash of new"}, _basic("alice", "secret"))

    assert (before, after) == (Admission.GRANTED, Admission.REFUSED)


def test_a_flood_of_wrong_passwords_drives_out_no_right_one() -> None:
    slow = Slow()
    passwords = slow.passwords()
    passwords.judge(_USERS, _basic("alice", "secret"))
    for number in range(1000):
        passwords.judge(_USERS, _basic("alice", f"wrong {number}"))
    tried = len(slow.tried)

    assert passwords.judge(_USERS, _basic("alice", "secret")) is Admission.GRANTED
    assert len(slow.tried) == tried


def test_passwords_are_tried_one_at_a_time_and_few_wait_for_that() -> None:
    lock, entered, go_on = threading.Lock(), threading.Event(), threading.Event()
    at_once: list[bool] = []

    def matches(_password: bytes, _hashed: bytes) -> bool:
        at_once.append(lock.acquire(blocking=False))
        entered.set()
        go_on.wait(30)
        lock.release()
        return False

    passwords = Passwords(matches, rest=lambda _: None)
    answers: list[Admission] = []

    def ask(number: int) -> None:
        answers.append(passwords.judge(_USERS, _basic("alice", str(number))))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    # Whoever found the queue full has its answer while the first one is still tried.
    for thread in threads:
        thread.join(0.0 if entered.wait(30) and len(answers) >= 8 else 0.2)
    go_on.set()
    for thread in threads:
        thread.join(30)

    assert answers.count(Admission.BUSY) == 8
    assert answers.count(Admission.REFUSED) == 4
    assert at_once == [True] * 4


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !", "Basic YQ==", "Bearer YTpi", "Basic \xff", "Basic /zph",
     _basic("alice", "s" * 73), _basic("alice", "a\0b")],
)  # fmt: skip
def test_what_is_no_password_costs_nothing(header: str) -> None:
    slow = Slow()

    assert slow.passwords().judge(_USERS, header) is Admission.REFUSED
    assert slow.tried == []


@given(st.text().filter(lambda user: ":" not in user), st.binary())
def test_a_user_and_password_come_back_as_they_were_sent(user: str, password: bytes) -> None:
    encoded = base64.b64encode(user.encode("utf-8", "surrogatepass") + b":" + password).decode()

    found = parse_basic(f"bAsIc {encoded}")

    try:
        user.encode()
    except UnicodeEncodeError:
        assert found is None
    else:
        assert found == (user, password)


@given(st.text())
def test_any_header_is_a_password_or_none(header: str) -> None:
    found = parse_basic(header)

    assert found is None or isinstance(found[1], bytes)
