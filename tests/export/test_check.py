"""Measures hold or do not; what is written can be read again; unfinished exports never have a name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.tuned_run import make_run
from tui_ft.errors import EnvironmentProblem, RunFailed
from tui_ft.export import check as checks
from tui_ft.export.check import Check, Measure
from tui_ft.export.shop import Shop, fingerprint


def measure(value: float, must: checks.Must = "at most", *, gates: bool = True) -> Measure:
    return Measure("KL", value, must, 0.5, "why", "it differs", gates)


@pytest.mark.parametrize(
    ("value", "must", "passed"),
    [
        (0.5, "at most", True), (0.6, "at most", False), (0.5, "at least", True), (0.4, "at least", False),
        (0.5, "above", False), (0.6, "above", True), (0.5, "below", False), (0.4, "below", True),
        (math.nan, "at most", False), (math.nan, "above", False), (math.inf, "at most", False),
    ],
)  # fmt: skip
def test_limits(value: float, must: checks.Must, passed: bool) -> None:
    assert measure(value, must).passed is passed


def test_a_warning_does_not_fail_an_export() -> None:
    found = Check("merged", "s", (measure(0.1), measure(0.9, gates=False)), {})
    assert found.passed
    assert found.complaint == ""
    assert found.warnings == ("it differs (KL is 0.9, must be at most 0.5)",)
    assert not Check("merged", "s", (measure(0.9),), {}).passed


def test_saved_and_recognised(tmp_path: Path) -> None:
    assert not checks.passed_for(tmp_path, "weights")
    checks.save(tmp_path, Check("merged", "weights", (measure(0.1),), {"texts": 3}))
    assert checks.passed_for(tmp_path, "weights")
    assert not checks.passed_for(tmp_path, "other weights")
    assert checks.notes(tmp_path) == {"texts": 3}
    checks.save(tmp_path, Check("merged", "weights", (measure(math.nan),), {}))
    assert not checks.passed_for(tmp_path, "weights")
    assert json.loads((tmp_path / checks.CHECK).read_text())["measures"][0]["value"] is None
    (tmp_path / checks.CHECK).write_text("{")
    assert not checks.passed_for(tmp_path, "weights")


def test_finished_exports_get_their_name_and_failed_ones_do_not(tmp_path: Path, tiny: Path) -> None:
    folder = make_run(tmp_path, tiny)
    shop = Shop(folder)
    for text in ("first", "second"):
        made = shop.scratch("merged")
        (made / "weights").write_text(text)
        final = shop.publish("merged", made, Check("merged", "s", (measure(0.1),), {}))
        assert final == folder.exports / "merged"
        assert (final / "weights").read_text() == text
    bad = shop.scratch("gguf-q8_0")
    (bad / "weights").write_text("bad")
    with pytest.raises(RunFailed, match="gguf:q8_0 failed its check: it differs") as caught:
        shop.publish("gguf:q8_0", bad, Check("gguf:q8_0", "s", (measure(0.9),), {}))
    aside = folder.exports / ".failed" / "gguf-q8_0"
    assert str(aside) in str(caught.value)
    assert (aside / checks.CHECK).is_file()
    again = shop.scratch("merged")
    with pytest.raises(RunFailed):
        shop.publish("merged", again, Check("merged", "other weights", (measure(0.9),), {}))
    shop.close()
    assert sorted(path.name for path in folder.exports.iterdir()) == [".failed"]


def test_room_is_asked_for_before(tmp_path: Path, tiny: Path) -> None:
    shop = Shop(make_run(tmp_path, tiny))
    shop.room(1)
    with pytest.raises(EnvironmentProblem, match="of disk"):
        shop.room(1 << 60)


def test_leftovers_of_a_killed_export_are_cleared(tmp_path: Path, tiny: Path) -> None:
    folder = make_run(tmp_path, tiny)
    (Shop(folder).scratch("merged") / "half").write_text("x")
    Shop(folder)
    assert not list((folder.exports / ".work").iterdir())


def test_a_fingerprint_changes_with_the_weights(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"1")
    one = fingerprint(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert fingerprint(tmp_path) == one
    (tmp_path / "a.safetensors").write_bytes(b"2")
    assert fingerprint(tmp_path) != one
