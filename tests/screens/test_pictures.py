"""Pictures of the pages: a change of looks is seen and meant. Renew them with `--snapshot-update`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_ft.screens.draft import Place
from tui_ft.screens.theme import LIGHT

from tests.screens import sample_run
from tests.screens.pilot import settled
from tests.screens.sample_wizard import wizard
from tui_ft.runs.folder import RunFolder

Compare = Callable[..., bool]
SIZES = ((80, 24), (120, 40))
NOON = 1_790_000_000.0


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Noon in Greenwich, for what is read off a clock."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        patch.setattr(time, "time", lambda: NOON)
        yield
    time.tzset()


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
@pytest.mark.parametrize("place", ["welcome", "question", "verdict", "hardware", "data", "plan"])
def test_pages(snap_compare: Compare, tmp_path: Path, place: Place, size: tuple[int, int]) -> None:
    assert snap_compare(wizard(tmp_path, place), terminal_size=size, run_before=settled)


@pytest.mark.usefixtures("_clock")
@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
def test_dashboard(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(dashboard(tmp_path), terminal_size=size, run_before=drawn)


@pytest.mark.usefixtures("_clock")
def test_dashboard_in_sixteen_colours(snap_compare: Compare, tmp_path: Path) -> None:
    assert snap_compare(dashboard(tmp_path, color="16"), run_before=drawn)


@pytest.mark.usefixtures("_clock")
def test_dashboard_in_ascii(snap_compare: Compare, tmp_path: Path) -> None:
    assert snap_compare(dashboard(tmp_path, ascii=True), run_before=drawn)


def test_light_colours(snap_compare: Compare, tmp_path: Path) -> None:
    app = wizard(tmp_path, "plan")
    app.theme = LIGHT
    assert snap_compare(app)


def test_key_card(snap_compare: Compare, tmp_path: Path) -> None:
    assert snap_compare(wizard(tmp_path, "plan"), press=["question_mark"])


def dashboard(home: Path, **options: Any) -> Any:
    """The dashboard of a run that waits for its user."""
    folder = sample_run.make_run(home)
    sample_run.leave(folder, "paused")
    folder = RunFolder(folder.path.rename(folder.path.with_name("support-json-20260921-120000-abcd")))
    app = wizard(home, "train", **options)
    app.draft = app.draft.with_run(folder.id)
    assert os.environ["TZ"] == "UTC"
    return app


async def drawn(pilot: Pilot[None]) -> None:
    """Wait until the run has been read."""
    while getattr(pilot.app.screen, "view", None) is None:
        await pilot.pause(0.05)
    await pilot.pause()
