"""Waiting says what it waited for."""

from __future__ import annotations

import pytest

from support.conditions import wait_until


def test_the_first_truthy_value_is_the_answer() -> None:
    answers = iter([0, "", "up"])

    assert wait_until(lambda: next(answers), 5.0, "an answer") == "up"


def test_a_wait_in_vain_says_what_for_and_how_long() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: the rain; last: None"):
        wait_until(lambda: None, 0.1, "the rain")


def test_an_error_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, 5.0, "arithmetic")
