"""Step 6: the dashboard of a run. A reader of its folder: leaving it changes nothing."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content

from tui_ft.errors import TuiFtError
from tui_ft.text import duration

from . import keys
from .ink import ink
from .page import Page, in_thread
from .widgets.chart import LossChart
from .widgets.lines import Lines, Prose

if TYPE_CHECKING:
    from tui_ft.hardware.facts import HostSample
    from tui_ft.runs.control import RequestName
    from tui_ft.runs.folder import RunFolder
    from tui_ft.runs.view import Alert, RunView, RunWatcher

_OVER = ("finished", "stopped")
_RESUMABLE = ("paused", "stopped", "failed", "lost")


class TrainPage(Page):
    """Watches one run and asks its worker for things."""

    place = "train"
    wide_rail = False
    BINDINGS = keys.bindings("train")

    def __init__(self) -> None:
        super().__init__()
        self._folder: RunFolder | None = None
        self._watcher: RunWatcher | None = None
        self._view: RunView | None = None
        self._host: HostSample | None = None
        self._price = 0.0
        self._dismissed: set[tuple[str, int | None]] = set()
        self._log_scale = False
        self._drawn: object = None
        self._failed_to_read = False

    # Drawing

    def body(self) -> ComposeResult:
        """Chart and gauges, what needs the user, progress, news."""
        mode = "ascii" if self.shell.terminal.ascii else "braille"
        yield Lines(id="legend")
        with Horizontal(id="curves"):
            yield LossChart(mode=mode, empty="  the curve starts with the first step", id="loss")
            yield Lines(id="gauges")
        with Horizontal(id="small"):
            yield LossChart(mode=mode, title="learning rate", id="lr")
            yield LossChart(mode=mode, title="gradient norm", id="grad_norm")
            yield LossChart(mode=mode, title="tokens per second", id="tokens_per_s")
        yield Prose(id="ending")
        yield Lines(id="progress")
        yield Lines(id="news")

    def command(self) -> str:
        """Nothing: the keys of this page are the commands."""
        return ""

    def place_name(self) -> str:
        """The run's state."""
        if self._view is None:
            return "opening the run"
        from .dashboard import STATE_WORDS

        silent = self._view.message if self._view.message.startswith("no heartbeat") else ""
        word = STATE_WORDS[self._view.state]
        return f"{word}, {silent}" if silent else word

    def header_right(self) -> Content:
        """Where the run is."""
        if self._view is None:
            return ink("")
        from .dashboard import where

        return where(self._view)

    def on_mount(self) -> None:
        """Watch until the page is left."""
        self.focus_body()
        self.run_worker(self._watch(), group="watch", exit_on_error=False)

    async def _watch(self) -> None:
        pause = 2.5 if self.shell.terminal.remote else 1.0
        while True:
            try:
                view = await in_thread(self._read)
            except TuiFtError as error:
                self.failed(error)
                return
            except Exception:  # a damaged folder must not end the watching
                if not self._failed_to_read:
                    self._failed_to_read = True
                    self.failed(self.shell.record_crash())
            else:
                self._show(view)
            await asyncio.sleep(pause)

    def _read(self) -> RunView:
        """In a thread: open the run the first time, then read what is new."""
        from tui_ft.hardware.host import sample_host
        from tui_ft.runs.folder import find
        from tui_ft.runs.view import RunWatcher

        if self._watcher is None:
            self._folder = find(self.shell.home, self.draft.run)
            self._price = _price(self._folder)
            self._watcher = RunWatcher(self._folder)
        self._host = sample_host(self._host)
        return self._watcher.poll()

    def _show(self, view: RunView) -> None:
        from . import dashboard

        before, self._view = self._view, view
        cost = dashboard.Cost(self._price)
        find = self.query_one
        find("#legend", Lines).show([dashboard.legend(view)])
        find("#gauges", Lines).show(lambda width: dashboard.gauges(view, self._host, cost, width))
        find("#progress", Lines).show(lambda width: [dashboard.progress(view, width)])
        find("#news", Lines).show(dashboard.news(view, 5 if self.has_class("-tall") else 3))
        curves = (view.curves["loss"], view.curves["eval_loss"], view.best, self._log_scale)
        if curves != self._drawn:
            self._drawn = curves
            steps = float(view.steps) if view.steps else None
            find("#loss", LossChart).plot(dashboard.loss_traces(view), x_high=steps, log=self._log_scale)
            for name in ("lr", "grad_norm", "tokens_per_s"):
                find(f"#{name}", LossChart).plot(dashboard.series_of(view.curves[name]), x_high=steps)
        self._show_ending(view)
        if before is None or before.state != view.state:
            if self.draft.name != view.name:
                self.shell.change(name=view.name)
            self.refresh_footer()
        self.redraw()

    def _show_ending(self, view: RunView) -> None:
        from . import dashboard

        box = self.query_one("#ending", Prose)
        over = dashboard.ending(view)
        alert = self._alert(view)
        if over is not None:
            box.show(over[1])
        elif alert is not None:
            box.show(dashboard.alert_line(alert.what, alert.action, alert.severity))
        box.display = over is not None or alert is not None

    def _alert(self, view: RunView) -> Alert | None:
        waiting = [a for a in view.alerts if (a.id, a.step) not in self._dismissed]
        return waiting[-1] if waiting else None

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """Labels that fit the state: pause or resume; what enter does now."""
        view = self._view
        state = view.state if view is not None else ""
        shown = []
        for key in super().footer_keys():
            if key.id == "train.go":
                if state in _OVER:
                    shown.append(replace(key, label="compare with base"))
                elif view is not None and self._alert(view) is not None:
                    shown.append(replace(key, label="carry on"))
                continue
            if key.id == "train.pause":
                if state in _OVER:
                    continue
                if state in _RESUMABLE:
                    key = replace(key, label="resume")
            if key.id in ("train.save", "train.stop") and view is not None and not view.alive:
                continue
            shown.append(key)
        return tuple(shown)

    # Keys

    def action_go(self) -> None:
        """Close the alert, or go on to the comparison."""
        if self._view is None:
            return
        if self._view.state in _OVER:
            self.shell.finish_step(5, "evaluate")
            return
        alert = self._alert(self._view)
        if alert is not None:
            self._dismissed.add((alert.id, alert.step))
            self._show(self._view)
            self.refresh_footer()

    def action_pause(self) -> None:
        """Pause; or resume what is paused, lost or failed."""
        if self._view is not None and self._view.state in _RESUMABLE and not self._view.alive:
            self.start(self._resume(), "Starting the process again")
        else:
            self._request("pause", "Pausing after this step; the checkpoint is kept.")

    async def _resume(self) -> None:
        folder = self._folder
        assert folder is not None
        from tui_ft.runs import launch

        await in_thread(lambda: launch.resume(folder))
        self.shell.say("It goes on from its last checkpoint.")

    def action_save(self) -> None:
        """A checkpoint now."""
        self._request("save", "Saving a checkpoint after this step.")

    def action_evaluate(self) -> None:
        """The validation loss now."""
        self._request("evaluate", "Measuring the validation loss after this step.")

    def action_stop(self) -> None:
        """Stop and keep, after asking."""
        view = self._view
        if view is None or not view.alive:
            self.shell.say("There is nothing to stop: the run is not at work.")
            return
        from .dialogs import Confirm

        kept = (
            f"the weights of step {view.best.step:,}, the best so far" if view.best else "the newest weights"
        )
        rest = f" It saves about {duration(sum(view.eta_s) / 2)}." if view.eta_s else ""
        self.shell.push_screen(
            Confirm(
                "Stop this run?",
                f"It ends after this step and keeps {kept}.{rest}\nIt can be resumed later from there.",
                yes="Stop and keep",
                no="Carry on",
            ),
            self._stop,
        )

    def _stop(self, yes: bool | None) -> None:
        if yes:
            self._request("stop", "Stopping after this step; the best weights are kept.")

    def _request(self, name: RequestName, said: str) -> None:
        async def ask() -> None:
            from tui_ft.runs import control

            folder = self._folder
            if folder is None:
                return
            try:
                await in_thread(lambda: control.request(folder, name))
            except TuiFtError as error:
                self.shell.say(f"{error.what[:1].upper()}{error.what[1:]}.", warning=True)
            else:
                self.shell.say(said)

        self.run_worker(ask(), group="request", exit_on_error=False)

    def action_log(self) -> None:
        """What the worker printed."""
        self._read_file(lambda folder: folder.log, "Log", at_end=True)

    def action_recipe(self) -> None:
        """The recipe of this run."""
        self._read_file(lambda folder: folder.recipe, "Recipe", at_end=False)

    def _read_file(self, which: Callable[[RunFolder], Any], title: str, *, at_end: bool) -> None:
        folder = self._folder
        if folder is None:
            return
        from .dialogs import Reader

        path = which(folder)
        try:
            text = path.read_bytes()[-64_000:].decode("utf-8", "replace").replace("\r\n", "\n")
        except OSError as error:
            self.shell.say(f"{path} cannot be read: {error.strerror}", warning=True)
            return
        lines = [line.rpartition("\r")[2] for line in text.split("\n")]
        self.shell.push_screen(Reader(f"{title} · {path}", "\n".join(lines) or "It is empty.", at_end=at_end))

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self._log_scale = not self._log_scale
        if self._view is not None:
            self._show(self._view)

    def action_leave(self) -> None:
        """Leave the program; the run goes on."""
        self.shell.exit()

    def action_back(self) -> None:
        """The runs."""
        self.shell.open("runs")


def _price(folder: RunFolder) -> float:
    try:
        recipe = tomllib.loads(folder.recipe.read_text(encoding="utf-8"))
        return float(recipe.get("limits", {}).get("price_per_hour", 0.0))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0.0
