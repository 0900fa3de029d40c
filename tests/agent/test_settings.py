"""The loader of settings: TOML, environment and flags into frozen dataclasses."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railwatch.settings import ConfigError, describe, key, load, scalar_keys, section


@dataclass(frozen=True, slots=True)
class Inner:
    """A table."""

    name: str = key("plain", doc="A name.", choices=("plain", "fancy"))
    share: float = key(0.5, doc="A share.", minimum=0.0, maximum=1.0)
    limit: int | None = key(None, doc="A limit.", minimum=1)
    is_on: bool = key(False, doc="A switch.")


@dataclass(frozen=True, slots=True)
class Item:
    """One of an array of tables."""

    device: str = key(doc="A device.")
    weight: float = key(1.0, doc="A weight.", minimum=0.0)


@dataclass(frozen=True, slots=True)
class Outer:
    """A file."""

    inner: Inner = section(Inner, doc="What is inside.")
    items: tuple[Item, ...] = key((), doc="Several of them.")
    names: tuple[str, ...] = key((), doc="Several names.")

    def __post_init__(self) -> None:
        if len(self.items) > 3:
            raise ConfigError(f"items: at most 3, got {len(self.items)}")


def _load(
    tmp_path: Path,
    text: str = "",
    environment: dict[str, str] | None = None,
    flags: dict[str, str] | None = None,
) -> Outer:
    file = tmp_path / "outer.toml"
    file.write_text(text)
    return load(Outer, file=file, environment=environment or {}, prefix="OUTER", flags=flags or {})


def test_without_anything_all_is_default() -> None:
    assert load(Outer, file=None, environment={}, prefix="OUTER", flags={}) == Outer()


def test_a_file_is_read(tmp_path: Path) -> None:
    text = """
        names = ["a", "b"]
        inner = { name = "fancy", share = 1, limit = 7, is_on = true }
        [[items]]
        device = "x"
        weight = 2.5
    """

    assert _load(tmp_path, text) == Outer(
        Inner("fancy", 1.0, 7, is_on=True), (Item("x", 2.5),), ("a", "b")
    )


def test_a_whole_number_will_do_for_a_number(tmp_path: Path) -> None:
    share = _load(tmp_path, "[inner]\nshare = 1").inner.share

    assert (share, type(share)) == (1.0, float)


_MISTAKES = [
    ("[inner]\nnam = 'x'", "[inner] nam: unknown key; the nearest known one is 'name'"),
    ("inne = 1", "inne: unknown key; the nearest known one is 'inner'"),
    ("inner = 1", "inner: expected a table, got 1"),
    ("[inner]\nname = 1", "[inner] name: expected a string, got 1"),
    ("[inner]\nname = 'other'", "[inner] name: must be one of plain, fancy, got 'other'"),
    ("[inner]\nshare = 1.1", "[inner] share: must be between 0.0 and 1.0, got 1.1"),
    ("[inner]\nshare = nan", "[inner] share: must be between 0.0 and 1.0, got nan"),
    ("[inner]\nshare = true", "[inner] share: expected a number, got True"),
    ("[inner]\nlimit = 1.0", "[inner] limit: expected a whole number, got 1.0"),
    ("[inner]\nlimit = 0", "[inner] limit: must be at least 1, got 0"),
    ("[inner]\nis_on = 'yes'", "[inner] is_on: expected true or false, got 'yes'"),
    ("names = 'a'", "names: expected an array, got 'a'"),
    ("names = ['a', 1]", "names[1]: expected a string, got 1"),
    ("[[items]]\nweight = 1", "[items.0] device: is missing"),
    ("[[items]]\ndevice = 'a'\n[[items]]\ndevice = 1", "[items.1] device: expected a string"),
    ("items = [{}, {}, {}, {}]", "[items.0] device: is missing"),
    ("items = [{device='a'},{device='a'},{device='a'},{device='a'}]", "items: at most 3, got 4"),
]


@pytest.mark.parametrize(("text", "message"), _MISTAKES)
def test_a_mistake_names_its_key_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)

    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "outer.toml"))
    assert "\n" not in str(caught.value)


def test_a_flag_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        "[inner]\nshare = 0.1\nlimit = 1\nname = 'fancy'",
        {"OUTER_INNER_SHARE": "0.2", "OUTER_INNER_LIMIT": "2"},
        {"inner.share": "0.3"},
    )

    assert settings.inner == Inner("fancy", 0.3, 2)


@pytest.mark.parametrize(
    ("flag", "text"), [("inner.share", "much"), ("inner.limit", "1.5"), ("inner.is_on", "yes")]
)
def test_a_mistake_in_a_flag_is_refused(flag: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"{flag.split('.')[1]}: expected"):
        load(Outer, file=None, environment={}, prefix="OUTER", flags={flag: text})


@given(text=st.text(max_size=20))
def test_any_text_in_a_flag_is_a_value_or_refused(text: str) -> None:
    for path, _ in scalar_keys(Outer):
        with contextlib.suppress(ConfigError):
            load(Outer, file=None, environment={}, prefix="OUTER", flags={path: text})


def test_single_values_can_be_flags() -> None:
    paths = [path for path, _ in scalar_keys(Outer)]

    assert paths == ["inner.name", "inner.share", "inner.limit", "inner.is_on"]
    assert describe(Outer, "inner.limit") == "A limit."
    assert describe(Outer, "names") == "Several names."


def test_a_table_in_place_of_which_there_is_a_value_cannot_be_set_by_a_flag(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"\[inner\]: expected a table, got 1"):
        _load(tmp_path, "inner = 1", flags={"inner.share": "0.5"})
