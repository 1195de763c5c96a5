"""A check that nobody waits for any more stops, and leaves no process behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_ft.screens import draft as drafts

from tests.screens.pilot import data_file, draft, make_app, model_folder, page, place, settled, until
from tui_ft.data import check, portions
from tui_ft.data.survey import Survey
from tui_ft.settings import Home


def mappers() -> set[int]:
    """The processes of this one that look at data."""
    children = " ".join((task / "children").read_text() for task in Path("/proc/self/task").iterdir())
    return {pid for pid in map(int, children.split()) if b"tui_ft.data.mapper" in _command(pid)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_no_process_reads_on_after_the_page_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_LARGE_BYTES", 0)
    monkeypatch.setattr(portions, "SPAN_BYTES", 1 << 16)
    ended: list[Survey] = []
    monkeypatch.setattr(Survey, "report", lambda survey: ended.append(survey))
    home = Home(tmp_path / "home")
    recipe = {
        "model": {"id": str(model_folder(tmp_path))},
        "data": {"path": str(data_file(tmp_path, rows=60_000))},
    }
    assert drafts.save(drafts.Draft(place="data", reached=3, recipe=recipe), home) is None
    async with make_app(home.root).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(mappers()))
        first = mappers()
        # Reading the data again takes the place of the first time.
        page(pilot).on_mount()
        await until(pilot, lambda: bool(mappers()) and mappers().isdisjoint(first))
        await pilot.press("escape")
        await until(pilot, lambda: place(pilot) != "data" and not mappers())
        await settled(pilot)
        assert draft(pilot).report is None
        assert ended == []  # the processes were stopped, not done
