"""Viewers, requests and other processes beside the run."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import SETTINGS, STEPS, assert_same
from tests.screens.terminal_pty import Terminal
from tests.training.conftest import Workshop, events, log_of, state_of, wait_for_step, wait_until
from tui_ft.errors import InputError
from tui_ft.runs import control, launch, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import RunWatcher, view

pytestmark = pytest.mark.train


def _rubbish(folder: Path) -> int:
    """Everything that is no request; returns how many."""
    folder.mkdir(exist_ok=True)
    (folder / "bytes.json").write_bytes(os.urandom(100))
    (folder / "empty.json").write_bytes(b"")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "huge.json").write_text(json.dumps({"request": "stop", "pad": "x" * 1_000_000}))
    (folder / "unknown.json").write_text('{"request": "format the disk"}')
    (folder / "values.json").write_text('{"request": "set", "values": [1]}')
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "\x1b]0;title\x07.json").write_text("{}")
    return 10


def test_garbage_in_control(workshop: Workshop, whole: RunFolder) -> None:
    """control/ full of garbage, links, pipes and huge files: each is set aside and named, the run is
    unharmed."""
    run = workshop.run(**SETTINGS)
    number = _rubbish(run.control)
    pid = workshop.start(run)
    wait_for_step(run, 3)
    number += _rubbish(run.control)
    assert workshop.wait(pid) == 0, log_of(run)
    assert len(events(run, "control_rejected")) == number
    assert [path.name for path in run.control.iterdir()] == ["rejected"]
    assert "\x1b" not in "".join(news.text for news in view(run).news)
    assert_same(run, whole)


def test_settings_out_of_bounds(workshop: Workshop, whole: RunFolder) -> None:
    """A request with impossible settings: refused with an event, nothing changes."""
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 2)
    for number, values in enumerate(({"train.learning_rate": -1}, {"train.seed": 1}, {"x": "\x1b[2J"})):
        path = run.control / f"{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.with_name(".whole").write_text(json.dumps({"request": "set", "values": values}))
        path.with_name(".whole").rename(path)
    assert workshop.wait(pid) == 0, log_of(run)
    answers = events(run, "control")
    assert len(answers) == 3
    assert all(answer["refused"] for answer in answers)
    assert_same(run, whole)


def test_two_viewers_killed(workshop: Workshop, whole: RunFolder) -> None:
    """`tui-ft watch` and the wizard on two terminals, one's terminal gone, the other killed with `kill -9`:
    the run does not notice, bit for bit."""
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 2)
    os.kill(pid, signal.SIGSTOP)  # the run waits for the viewers to start, not the other way round
    home = run.path.parents[1]
    wizard = [sys.executable, "-m", "tui_ft", "--home", str(home)]  # opens at the run that is alive
    with Terminal(wizard, home.parent) as killed, Terminal([*wizard, "watch", run.id], home.parent) as gone:
        for terminal in (killed, gone):
            terminal.read_until(f" of {STEPS}")
        os.kill(pid, signal.SIGCONT)
        wait_for_step(run, 5)
        killed.process.kill()
        gone.vanish()
        assert gone.process.wait(30) is not None
        assert workshop.wait(pid) == 0, log_of(run)
    assert_same(run, whole)


def test_two_watchers_agree(workshop: Workshop) -> None:
    """Two watchers, one from the first step on and one at the end, while the run works: they show the
    same."""
    run = workshop.run(**SETTINGS)
    early = RunWatcher(run)
    pid = workshop.start(run)
    wait_until(lambda: early.poll().step >= 20 or not status.alive(run), run)
    assert workshop.wait(pid) == 0, log_of(run)
    mine, other = early.poll(now=0.0), view(run)
    assert (mine.curves, mine.best, mine.news) == (other.curves, other.best, other.news)
    assert (mine.state, mine.tokens, mine.alerts) == (other.state, other.tokens, other.alerts)


def test_lock_of_a_dead_process(workshop: Workshop, whole: RunFolder) -> None:
    """The lock file of a process that is long gone, whose id another process has now: it holds nobody
    up."""
    run = workshop.run(**SETTINGS)
    somebody = status.process_identity(os.getpid()).rpartition("/")[0] + "/1"
    run.alive.write_text(json.dumps({"job": "train", "pid": os.getpid(), "process": somebody}))
    assert not status.alive(run)
    assert workshop.train(run) == 0, log_of(run)
    assert_same(run, whole)


def test_two_starts_at_once(workshop: Workshop, whole: RunFolder) -> None:
    """Four starts of one run at once: one trains, the others are refused, the result is that of one."""
    run = workshop.run(**SETTINGS)
    pids = [workshop.start(run) for _ in range(4)]
    wait_for_step(run, 1)
    with pytest.raises(InputError, match="already training"):
        launch.start(run, "train")
    codes = sorted(workshop.wait(pid) for pid in pids)
    assert codes == [0, 2, 2, 2], log_of(run)
    assert len(events(run, "start")) == 1
    assert_same(run, whole)


def test_request_to_a_dead_run(workshop: Workshop) -> None:
    """Asking a run for something whose process was killed: refused with the way to go on."""
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 2)
    os.kill(pid, signal.SIGKILL)
    workshop.wait(pid)
    with pytest.raises(InputError, match="lost"):
        control.request(run, "stop")
    assert state_of(run) == "lost"
