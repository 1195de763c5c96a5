"""Checkpoints are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tui_ft.errors import EnvironmentProblem
from tui_ft.runs import checkpoints
from tui_ft.runs.checkpoints import MANIFEST
from tui_ft.runs.folder import RunFolder


def save(run: RunFolder, step: int, *, eval_loss: float | None = None) -> checkpoints.Checkpoint:
    """Seal a checkpoint with two files."""
    unfinished = checkpoints.temporary(run, step)
    (unfinished / "weights.safetensors").write_bytes(b"w" * 1000 + bytes([step]))
    (unfinished / "state.json").write_text("{}")
    return checkpoints.seal(run, unfinished, step, reason="time", eval_loss=eval_loss)


def test_a_sealed_checkpoint_is_whole(run: RunFolder) -> None:
    sealed = save(run, 7, eval_loss=0.5)
    assert (sealed.step, sealed.reason, sealed.eval_loss, sealed.size_bytes) == (7, "time", 0.5, 1003)
    assert checkpoints.verify(sealed.path) == ""
    assert checkpoints.listed(run) == [sealed]
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-7"]


def test_the_same_step_can_be_saved_again(run: RunFolder) -> None:
    save(run, 7)
    again = save(run, 7, eval_loss=0.1)
    assert checkpoints.listed(run) == [again]


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", MANIFEST])
@pytest.mark.parametrize("damage", ["missing", "half", "empty", "changed"])
def test_a_damaged_newest_is_passed_over_and_named(run: RunFolder, name: str, damage: str) -> None:
    good, bad = save(run, 3), save(run, 9)
    path = bad.path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(content[:-3] + bytes(byte ^ 1 for byte in content[-3:]))
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    found = checkpoints.find_newest(run)
    assert found.newest == good
    ((torn, why),) = found.torn
    assert torn == "step-9"
    assert name in why or "manifest" in why
    aside = checkpoints.set_aside(run, torn)
    assert aside.is_dir()
    assert checkpoints.find_newest(run) == checkpoints.Search(good)


def test_an_interrupted_save_is_no_checkpoint_and_is_swept(run: RunFolder) -> None:
    good = save(run, 3)
    unfinished = checkpoints.temporary(run, 4)
    (unfinished / "weights.safetensors").write_bytes(b"w")
    assert checkpoints.listed(run) == [good]
    checkpoints.sweep(run)
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-3"]


def test_the_best_and_the_last_are_kept(run: RunFolder) -> None:
    for step in (10, 20, 30, 100):
        save(run, step)
    assert checkpoints.prune(run, keep=2, best_step=10) == [20]
    assert [sealed.step for sealed in checkpoints.listed(run)] == [10, 30, 100]


def test_nothing_there_is_nothing_found(run: RunFolder) -> None:
    assert checkpoints.find_newest(run) == checkpoints.Search(None)
    assert checkpoints.listed(run) == []
    assert checkpoints.prune(run, keep=1, best_step=None) == []


def test_a_manifest_of_another_shape_is_damage(run: RunFolder) -> None:
    path = save(run, 1).path
    shapes: list[object] = [[], {}, {"files": {}}, {"files": {"a": 1}}, {"step": "x", "files": {"a": {}}}]
    for document in shapes:
        (path / MANIFEST).write_text(json.dumps(document))
        assert checkpoints.verify(path)
        assert checkpoints.listed(run) == []


def test_a_folder_that_refuses_is_said_plainly(run: RunFolder, tmp_path: Path) -> None:
    run.checkpoints.write_text("in the way")
    with pytest.raises(EnvironmentProblem):
        checkpoints.temporary(run, 1)
