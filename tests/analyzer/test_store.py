# SPDX-License-Identifier: Apache-2.0
"""What was learned outlives a restart; a file that cannot be trusted is refused, and only that."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzer.fleet import Fleet, capped
from analyzer.stories import fold, learned
from railwatch_analyzer.round import judge, verdicts_of
from railwatch_analyzer.state import State, empty_state
from railwatch_analyzer.store import StateFileError, load, save

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_analyzer.findings import Finding

# The files are told apart by their content, so one folder does for all examples.
_ANY_FILE = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300
)


def _troubled(fleet: Fleet) -> State:
    """Everything at once: a degraded link, one under pressure, one down, one flapping."""
    bad, mild, down, flapping = fleet.links[1:5]
    state, lines = fold(
        learned(fleet),
        [
            fleet.window({bad: capped(0.25), mild: capped(0.75), down: {"up": 0.0}}),
            fleet.window({bad: capped(0.25), down: {"up": 0.0}, flapping: _FLAPS}),
        ],
    )
    assert {(line.node, line.cause) for line in lines} == {
        (bad.node, "bandwidth"),
        (down.node, "down"),
        (flapping.node, "flapping"),
    }
    assert state.status.pressure[2] > 0
    return state


_FLAPS = {"faults_total_link_downed": 3.0}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a state with much in it."""
    path = tmp_path_factory.mktemp("saved") / "state.npz"
    save(_troubled(Fleet()), path)
    return path.read_bytes()


def _reloaded(state: State, path: Path) -> State:
    save(state, path)
    loaded = load(path)
    assert loaded is not None
    return loaded


def test_a_restart_changes_neither_what_stands_nor_what_is_said_next(tmp_path: Path) -> None:
    fleet = Fleet()
    state = _troubled(fleet)
    another = fleet.links[6]

    restored = _reloaded(state, tmp_path / "state.npz")
    before = verdicts_of(restored).tolist()
    frames = [fleet.window({another: capped(0.25)}) for _ in range(3)]
    frames += list(fleet.windows(12))
    end, lines = fold(state, frames)
    restored_end, restored_lines = fold(restored, frames)

    assert before == verdicts_of(state).tolist()
    assert restored.standing == state.standing
    assert {line.node for line in lines if line.state == "firing"} == {another.node}
    assert _said(restored_lines) == _said(lines)
    assert _ended(restored_lines, state) == _ended(lines, state) != set()
    assert verdicts_of(restored_end).tolist() == verdicts_of(end).tolist()


def _said(lines: list[Finding]) -> list[tuple[str, ...]]:
    return sorted((f.node, f.kind, f.state, f.cause) for f in lines)


def _ended(lines: list[Finding], state: State) -> set[str]:
    """Which of the findings that stood in *state* the lines end."""
    stood = {finding.id for finding in state.standing.values()}
    return {line.id for line in lines if line.state == "resolved"} & stood


def test_what_takes_long_to_learn_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    state = _troubled(Fleet())

    restored = _reloaded(state, tmp_path / "state.npz")

    for part in ("roster", "baseline", "status"):
        for field in fields(getattr(state, part)):
            np.testing.assert_array_equal(
                getattr(getattr(restored, part), field.name),
                getattr(getattr(state, part), field.name),
            )
    for name in ("links", "groups", "job_id", "time", "windows", "ruled", "flaps", "accused"):
        assert getattr(restored, name) == getattr(state, name)
    assert state.detector is not None
    assert restored.detector is not None
    assert (restored.detector.centers_ == state.detector.centers_).all()
    assert restored.detector.offset_ == state.detector.offset_


def test_a_state_before_the_first_round_survives_too(tmp_path: Path) -> None:
    restored = _reloaded(empty_state(), tmp_path / "state.npz")

    assert restored.links == ()
    assert restored.detector is None
    judge(restored, Fleet().window())


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    assert load(tmp_path / "state.npz") is None


def test_a_crash_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet()
    old, path = learned(fleet), tmp_path / "state.npz"
    save(old, path)
    new, _ = judge(old, fleet.window())

    def crash(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="No space"):
        save(new, path)
    kept = load(path)
    monkeypatch.undo()
    save(new, path)
    then = load(path)

    assert kept is not None
    assert kept.time == old.time
    assert then is not None
    assert then.time == new.time
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


@_ANY_FILE
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_short_is_refused(saved: bytes, tmp_path: Path, share: float) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(saved[: int(share * len(saved))])

    with pytest.raises(StateFileError, match=str(path)):
        load(path)


@_ANY_FILE
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_without_effect(
    saved: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    """Most of the file is under checksums; the zip directory at its end is read in many ways."""
    directory = saved.index(b"PK\x01\x02")
    whole, structure = st.integers(0, len(saved) - 1), st.integers(directory, len(saved) - 1)
    position = data.draw(st.one_of(whole, structure))
    flipped = bytearray(saved)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "state.npz"
    path.write_bytes(flipped)

    try:
        state = load(path)
    except StateFileError:
        return

    assert state is not None
    assert _reloaded(state, tmp_path / "again.npz") is not None
    assert (tmp_path / "again.npz").read_bytes() == saved


def _arrays(content: bytes, path: Path) -> dict[str, np.ndarray]:
    path.write_bytes(content)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _with_header(**changes: Any) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        header = json.loads(arrays["header"].tobytes())
        header = {key: value for key, value in (header | changes).items() if value is not ...}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)

    return change


def _with_array(name: str, array: np.ndarray | None) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays.pop(name)
        if array is not None:
            arrays[name] = array

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_with_header(version=2), id="an older version"),
        pytest.param(_with_header(version=4), id="a newer version"),
        pytest.param(_with_header(format="railwatch-agent-state"), id="another program's"),
        pytest.param(_with_header(features=["a"]), id="other features"),
        pytest.param(_with_header(standing=...), id="no findings"),
        pytest.param(_with_header(standing=[{"id": "x"}]), id="half a finding"),
        pytest.param(_with_header(ruled=[[{}, {}]]), id="half a ruling"),
        pytest.param(_with_header(links=[["n00", "0"]]), id="half a link"),
        pytest.param(_with_header(groups=[]), id="links without groups"),
        pytest.param(_with_header(offset="far"), id="a threshold that is no number"),
        pytest.param(_with_array("header", None), id="no header"),
        pytest.param(_with_array("header", np.frombuffer(b"[]", np.uint8)), id="no JSON object"),
        pytest.param(_with_array("header", np.frombuffer(b"\xff{", np.uint8)), id="no JSON"),
        pytest.param(_with_array("status.score", None), id="an array less"),
        pytest.param(_with_array("status.score", np.zeros(3)), id="an array of another length"),
        pytest.param(_with_array("status.clear", np.zeros(8)), id="an array of another type"),
        pytest.param(
            _with_array("detector.centers", np.full((4, 10), np.nan)), id="a detector of nothing"
        ),
        pytest.param(_with_array("detector.centers", np.zeros((4, 2))), id="a smaller detector"),
    ],
)
def test_a_foreign_file_is_refused_with_its_name(
    saved: bytes, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None]
) -> None:
    path = tmp_path / "state.npz"
    arrays = _arrays(saved, path)
    change(arrays)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # names, not options

    with pytest.raises(StateFileError, match=str(path)) as caught:
        load(path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"PK\x05\x06" + bytes(18), b"[server]\n", pickle.dumps({})]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)

    with pytest.raises(StateFileError):
        load(path)


def test_an_array_of_numpys_own_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))

    with pytest.raises(StateFileError):
        load(path)


class _Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["header", "status.score", "of.a.stranger"])
def test_code_in_a_file_does_not_run(saved: bytes, tmp_path: Path, name: str) -> None:
    path, sprung = tmp_path / "state.npz", tmp_path / "sprung"
    arrays = _arrays(saved, path)
    arrays[name] = np.array([_Trap(sprung)], dtype=object)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # names, not options

    with pytest.raises(StateFileError):
        load(path)

    assert not sprung.exists()


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="Is a directory"):
        load(tmp_path)


def test_saving_again_replaces_the_file_and_nothing_else(tmp_path: Path) -> None:
    state = learned(Fleet())
    path = tmp_path / "state.npz"

    save(replace(state, windows=1), path)
    save(replace(state, windows=2), path)

    loaded = load(path)
    assert loaded is not None
    assert loaded.windows == 2
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]
