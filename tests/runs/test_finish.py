"""What follows a run: people are told, the command is run, the box is ended or is not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.sample_plan import RECIPE, make_plan
from tui_ft import recipe as recipes
from tui_ft.commands.control import _answer, _from_now
from tui_ft.commands.follow import follow as follow_run
from tui_ft.recipe import Notify
from tui_ft.runs import control, countdown, finish, queue, status
from tui_ft.runs import folder as folders
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.notices import NoticeFailed, notices, send
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.status import State, Status
from tui_ft.runs.view import RunWatcher, show_json, view
from tui_ft.settings import Home


@dataclass
class Server:
    """What a small web server was told."""

    url: str
    told: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # before it says 200


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.told.append((self.path, dict(self.headers), body))
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        found = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        http.shutdown()
        thread.join()


def ended(run: RunFolder, state: State = "finished", message: str = "finished after 10 steps") -> None:
    """Let the run end, as a worker does."""
    with Reporter(run, "train") as reporter:
        reporter.event("start", resumed_from=None)
        reporter.events.append("step", step=10, loss=1.25)
        reporter.event("eval", step=10, eval_loss=1.5, best=True)
        reporter.end(state, message)


def asked(run: RunFolder, **values: Any) -> RunFolder:
    """The run with keys of its recipe changed; `__` stands for the dot."""
    changed = {key.replace("__", "."): value for key, value in values.items()}
    recipes.save(run.read_recipe().with_values(changed), run.recipe)
    return run


def follow(run: RunFolder) -> None:
    """What follows a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert finish.main([str(run.path), str(process.pid), "a/b/1"]) == 0


def kinds(run: RunFolder) -> list[str]:
    """The kinds of events, in order."""
    return [json.loads(line)["kind"] for line in run.events.read_text().splitlines()]


def wait_until(done: Callable[[], object]) -> None:
    """Poll until `done()`."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_webhook_and_ntfy_are_told(run: RunFolder, server: Server) -> None:
    asked(run, notify__webhook=f"{server.url}/secret-hook", notify__ntfy=f"{server.url}/topic")
    ended(run, message="ended with token hf_abcdefghijklmnopqrstuvwxyz and \x1b[2Jmore")
    follow(run)
    (hook, _, body), (topic, headers, text) = server.told
    document = json.loads(body)
    assert hook == "/secret-hook"
    assert (document["run"], document["state"], document["step"], document["loss"]) == (
        run.id,
        "finished",
        10,
        1.25,
    )
    assert document["best"] == {"step": 10, "eval_loss": 1.5}
    assert document["message"] == "ended with token [secret] and more"
    assert document["text"] == document["content"] == text.decode()
    assert str(run.path) not in body.decode()
    assert topic == "/topic"
    assert (headers["Title"], headers["Priority"]) == (f"{run.id}: finished", "default")
    assert kinds(run)[-2:] == ["notice", "notice"]
    assert "secret-hook" not in run.events.read_text()


def test_an_address_may_stand_in_the_environment(
    run: RunFolder, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(run)
    asked(run, notify__webhook="env:HOOK_OF_MINE")
    monkeypatch.setenv("HOOK_OF_MINE", f"{server.url}/here")
    follow(run)
    assert [path for path, _, _ in server.told] == ["/here"]
    monkeypatch.delenv("HOOK_OF_MINE")
    follow(run)
    assert view(run).alerts[-1].what == "the environment variable HOOK_OF_MINE holds no address"


def test_a_server_that_stumbles_is_asked_again_and_one_that_refuses_is_not(
    run: RunFolder, server: Server
) -> None:
    ended(run)
    (notice,) = notices(Notify(webhook=f"{server.url}/x"), view(run), {})
    server.answers = [503]
    send(notice)
    assert len(server.told) == 2
    server.answers = [404]
    with pytest.raises(NoticeFailed, match=r"the webhook at 127.0.0.1 could not be told: it answered 404"):
        send(notice)
    assert len(server.told) == 3


def test_a_notice_that_fails_is_an_alert_and_nothing_more(run: RunFolder) -> None:
    asked(run, notify__webhook="http://127.0.0.1:9/x", limits__on_finish="echo done > done")
    ended(run)
    follow(run)
    (alert,) = view(run).alerts
    assert alert.id == "notice-failed"
    assert (run.path / "done").exists()
    assert view(run).state == "finished"


def test_the_command_knows_the_run(run: RunFolder) -> None:
    command = 'printf "%s|%s|%s|%s" "$TUI_FT_RUN" "$TUI_FT_STATE" "$TUI_FT_DIR" "$TUI_FT_MESSAGE" > told'
    asked(run, limits__on_finish=command)
    ended(run, "failed", "the gradient became NaN; $(touch hacked)")
    follow(run)
    told = (run.path / "told").read_text()
    assert told == f"{run.id}|failed|{run.path}|the gradient became NaN; $(touch hacked)"
    assert not (run.path / "hacked").exists()
    assert kinds(run)[-1] == "on_finish"


def test_a_command_that_fails_or_hangs_is_an_alert(run: RunFolder) -> None:
    asked(run, limits__on_finish="exit 3")
    ended(run)
    follow(run)
    assert view(run).alerts[-1].what == "limits.on_finish ended with exit code 3."
    asked(run, limits__on_finish="sleep 100 & echo $! > pid; wait", limits__on_finish_timeout_s=0.5)
    follow(run)
    assert "took longer than 0 s and was ended" in view(run).alerts[-1].what
    child = int((run.path / "pid").read_text())
    wait_until(lambda: not status.process_identity(child))


def test_a_pause_is_no_end(run: RunFolder) -> None:
    asked(run, limits__on_finish="touch done")
    ended(run, "paused", "paused on request")
    follow(run)
    assert not (run.path / "done").exists()


def test_a_pause_that_nobody_asked_for_is_told(run: RunFolder, server: Server) -> None:
    asked(run, notify__ntfy=f"{server.url}/topic", limits__on_finish="touch done")
    with Reporter(run, "train") as reporter:
        reporter.event("start", resumed_from=None)
        reporter.end("paused", "paused because the disk is full", "Free some space.")
    follow(run)
    assert [text.decode() for _, _, text in server.told] == [
        f"{run.id}: paused, paused because the disk is full"
    ]
    assert not (run.path / "done").exists()


def test_a_killed_worker_is_told_as_lost(run: RunFolder) -> None:
    """The real thing: a process holds the run, starts what follows it, and is killed."""
    asked(run, limits__on_finish='echo "$TUI_FT_STATE" > told')
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom tui_ft.runs import finish, status\n"
        "from tui_ft.runs.folder import RunFolder\nfrom tui_ft.runs.reporter import Reporter\n"
        "run = RunFolder(Path(sys.argv[1]))\n"
        "with status.hold(run, 'train'), Reporter(run, 'train') as reporter:\n"
        "    reporter.enter('training', 'training')\n    print(finish.watch_over(run), flush=True)\n"
        "    time.sleep(60)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE, env={**os.environ}
    )
    with worker:
        assert worker.stdout is not None
        assert int(worker.stdout.readline()) > 0
        assert not (run.path / "told").exists()
        worker.kill()
    wait_until((run.path / "told").exists)
    wait_until(lambda: (run.path / "told").read_text() == "lost\n")


def test_without_anything_to_do_nothing_is_started(run: RunFolder) -> None:
    assert finish.watch_over(run) is None


def test_the_box_is_ended_after_the_countdown(run: RunFolder) -> None:
    asked(run, limits__shutdown_command="touch ended", limits__shutdown_after_s=0)
    ended(run)
    follow(run)
    assert (run.path / "ended").exists()
    assert kinds(run)[-2:] == ["countdown", "box_ended"]
    assert countdown.read(run) is None


def test_the_countdown_can_be_called_off(run: RunFolder) -> None:
    asked(run, limits__shutdown_command="touch ended", limits__shutdown_after_s=60)
    ended(run)
    process = subprocess.Popen([sys.executable, "-m", "tui_ft.runs.finish", str(run.path), "0", ""])
    wait_until(lambda: countdown.read(run))
    found = view(run)
    assert found.shutdown_at is not None
    assert show_json(found)["shutdown_at"] == pytest.approx(time.time() + 60, abs=10)
    events = _from_now(run)
    answer = _answer(events, control.request(run, "stop"), run)
    assert process.wait(30) == 0
    assert answer is not None
    assert answer["text"] == "The box stays on"
    assert not (run.path / "ended").exists()
    assert view(run).alerts[-1].what == "The box was not ended: somebody called it off."


@pytest.mark.parametrize(("limit", "ends"), [(True, True), (False, False)])
def test_a_run_stopped_by_hand_leaves_the_box_alone(run: RunFolder, limit: bool, ends: bool) -> None:
    asked(run, limits__shutdown_command="touch ended", limits__shutdown_after_s=0)
    with Reporter(run, "train") as reporter:
        reporter.event("start", resumed_from=None)
        if limit:
            reporter.event("limit", key="limits.max_cost", text="The budget of $5 is reached")
        reporter.end("stopped", "stopped")
    follow(run)
    assert (run.path / "ended").exists() is ends


def test_a_box_that_others_need_is_not_ended(run: RunFolder, home: Home, tmp_path: Path) -> None:
    asked(run, limits__shutdown_command="touch ended", limits__shutdown_after_s=0)
    other = folders.create(home, recipes.loads(RECIPE), make_plan(), recipe_text=RECIPE, recipe_base=tmp_path)
    ended(run)
    with status.hold(other, "evaluate"):
        follow(run)
    assert not (run.path / "ended").exists()
    assert f"{other.id} still needs it" in view(run).alerts[-1].what
    pid = os.getpid()
    status.write(other, Status("queued", pid=pid, process=status.process_identity(pid)))
    assert finish.others_at_work(run) == [other.id]
    assert queue.cancel(other)
    assert finish.others_at_work(run) == []


def test_a_box_is_not_ended_before_everything_is_safe(run: RunFolder) -> None:
    asked(run, limits__shutdown_command="touch ended", limits__shutdown_after_s=0)
    ended(run)
    with EventLog(run.events) as events:
        finish.After(
            run, run.read_recipe(), view(run), events, unsafe=lambda _: "step-10 is not copied yet"
        ).end_box()
    assert not (run.path / "ended").exists()
    assert view(run).alerts[-1].what == "The box was not ended: step-10 is not copied yet."


def test_a_finished_box_that_still_costs_money_is_told(run: RunFolder, home: Home, tmp_path: Path) -> None:
    asked(run, limits__price_per_hour=2.0)
    ended(run)
    assert view(run).alerts == ()
    later = RunWatcher(run).poll(now=time.time() + 2400)
    (alert,) = later.alerts
    assert alert.what.startswith("Training is done since 40 min; the box still costs $2 an hour")
    assert show_json(later)["alerts"][0]["id"] == "box-idle"
    folders.create(home, recipes.loads(RECIPE), make_plan(), recipe_text=RECIPE, recipe_base=tmp_path)
    # Made in the same second, either may be the newer one; what counts is that only one of them is.
    newest = folders.list_runs(home)[0] == run
    assert bool(RunWatcher(run).poll(now=time.time() + 2400).alerts) is newest


class Terminal(io.StringIO):
    """A terminal that remembers what it was told."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("bell", [True, False])
def test_the_bell_rings_at_an_error_and_at_the_end(
    run: RunFolder, bell: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(run, notify__bell=bell)
    with Reporter(run, "train") as reporter:
        reporter.event("start", resumed_from=None)
        reporter.alert("diverging", "error", "The loss is rising.", "Stop.", step=3)
        reporter.end("failed", "it broke")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    said: list[str] = []
    follow_run(run, "train", said.append)
    assert terminal.getvalue() == ("\a\a" if bell else "")
    assert "The loss is rising." in said[0]
