"""Step 6: the dashboard of a run. Leaving it changes nothing."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content

from tui_ft.errors import TuiFtError
from tui_ft.text import duration

from . import keys
from .ink import MUTED, ink, join, stack
from .page import in_thread
from .run_page import RunPage
from .widgets.chart import LossChart
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.runs.folder import RunFolder
    from tui_ft.runs.readings import Alert
    from tui_ft.runs.view import RunView, RunWatcher

    from .widgets.raster import Mode

_OVER = ("finished", "stopped")
_RESUMABLE = ("paused", "stopped", "failed", "lost")
_SMALL = ("lr", "grad_norm", "tokens_per_s", "memory_bytes")
_CURSOR_STOPS = 60  # so many presses take the cursor from one end of the curve to the other


class TrainPage(RunPage):
    """Watches one run and asks its worker for things."""

    place = "train"
    wide_rail = False
    BINDINGS = keys.bindings("train")

    def __init__(self) -> None:
        super().__init__()
        self._dismissed: set[tuple[str, int | None]] = set()
        self._log_scale = False
        self._pane = ""  # the one that fills the page; "" shows all
        self._cursor: int | None = None  # a step
        self._other: RunWatcher | None = None
        self._other_view: RunView | None = None
        self._drawn: object = None
        self._rung: object = None  # for what the bell was rung last

    def body(self) -> ComposeResult:
        """Chart and gauges, what needs the user, progress, news."""
        mode: Mode = "ascii" if self.shell.terminal.ascii else "braille"
        yield Lines(id="legend")
        with Horizontal(id="curves"):
            yield LossChart(mode=mode, empty="  the curve starts with the first step", id="loss")
            yield Lines(id="gauges")
        with Horizontal(id="small"):
            yield LossChart(mode=mode, title="learning rate", id="lr")
            yield LossChart(mode=mode, title="gradient norm", id="grad_norm")
            yield LossChart(mode=mode, title="tokens per second", id="tokens_per_s")
            memory = "memory in GiB, and what was planned"
            yield LossChart(mode=mode, title=memory, from_zero=True, id="memory_bytes")
        yield Lines(id="alert")
        yield Lines(id="progress")
        yield Lines(id="news")

    def command(self) -> str:
        """The same on the command line."""
        return f"tui-ft watch {self.draft.run}"

    def place_name(self) -> str:
        """The run's state."""
        if self.view is None:
            return "opening the run"
        from .dashboard import STATE_WORDS

        return STATE_WORDS[self.view.state]

    def header_right(self) -> Content:
        """Where the run is."""
        if self.view is None:
            return ink("")
        from .dashboard import where

        return where(self.view)

    def on_mount(self) -> None:
        """The arrow keys scroll, when there is anything to scroll."""
        self.focus_body()

    def read_more(self, folder: RunFolder) -> None:
        """The run whose curve lies under this one's."""
        del folder
        if self._other is not None:
            self._other_view = self._other.poll()

    def show_run(self, view: RunView) -> None:
        """Draw everything; only rows that differ are sent."""
        from . import dashboard

        self.query_one("#legend", Lines).show([self._legend(view)])
        self.query_one("#gauges", Lines).show(lambda width: self._machine(view, width))
        self.query_one("#progress", Lines).show(lambda width: [dashboard.progress(view, width)])
        self.query_one("#news", Lines).show(dashboard.news(view, self._news_rows()))
        self._draw_curves(view)
        alert, over = self._alert(view), dashboard.ending(view)
        box = self.query_one("#alert", Lines)
        box.display = over is not None or alert is not None
        if over is not None:
            box.show(lambda width: dashboard.message(*over, width))
        elif alert is not None:
            box.show(lambda width: dashboard.message(alert.severity, alert.what, alert.action, width))
        self._ring(view)
        self.refresh_footer()

    def _ring(self, view: RunView) -> None:
        """The terminal's bell, where the recipe asks for it: at the end, and at errors."""
        errors = sum(alert.severity == "error" for alert in view.alerts)
        about = (view.alive, errors)
        if view.bell and self._rung is not None and self._rung != about:
            self.app.bell()
        self._rung = about

    def _legend(self, view: RunView) -> Content:
        from . import dashboard

        if self._cursor is not None:
            return dashboard.reading(view, self._cursor)
        return join(dashboard.legend(view), dashboard.overlaid(self._other_view))

    def _machine(self, view: RunView, width: int) -> list[Content]:
        from . import dashboard

        rows = dashboard.gauges(view, width)
        if self._pane != "machine":
            return rows
        return [*rows, Content(""), *dashboard.planned_memory(view, width)]

    def _news_rows(self) -> int:
        if self._pane == "news":
            return max(3, self.query_one("#news", Lines).size.height)
        return 5 if self.has_class("-tall") else 3

    def _draw_curves(self, view: RunView) -> None:
        from . import dashboard

        other = self._other_view
        look = (self._log_scale, self._cursor, self._pane, self.app.theme)
        under = [] if other is None else dashboard.overlay(other)
        drawn = (view.curves["loss"], view.curves["eval_loss"], view.best, look, under)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        steps = float(view.steps) if view.steps else None
        traces = dashboard.loss_traces(view, shades=not self.app.native_ansi_color)
        cursor = None if self._cursor is None else float(self._cursor)
        chart = self.query_one("#loss", LossChart)
        chart.plot([*under, *traces], x_high=steps, log=self._log_scale, cursor=cursor)
        for name in _SMALL:
            memory = name == "memory_bytes"
            curve = dashboard.memory_traces(view) if memory else dashboard.series_of(view.curves[name])
            self.query_one(f"#{name}", LossChart).plot(curve, x_high=steps, cursor=cursor)

    def _alert(self, view: RunView) -> Alert | None:
        if not view.alive:
            return None
        waiting = [alert for alert in view.alerts if (alert.id, alert.step) not in self._dismissed]
        return waiting[-1] if waiting else None

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """Only what has a point now: pause or resume, and what enter does."""
        view = self.view
        shown: list[keys.Key] = []
        for key in super().footer_keys():
            match key.id:
                case "train.go":
                    if view is not None and view.state in _OVER:
                        shown.append(replace(key, label="compare with base"))
                    elif view is not None and self._alert(view) is not None:
                        shown.append(replace(key, label="carry on"))
                case "train.pause":
                    if view is not None and not view.alive and view.state in _RESUMABLE:
                        shown.append(replace(key, label="resume"))
                    elif view is None or view.state not in _OVER:
                        shown.append(key)
                case "train.stop" if view is not None and view.state == "queued":
                    shown.append(replace(key, label="take out"))
                case "train.stop" if view is not None and view.shutdown_at is not None:
                    shown.append(replace(key, label="keep the box"))
                case "train.save" | "train.stop":
                    if view is None or view.alive:
                        shown.append(key)
                case _:
                    shown.append(key)
        return tuple(shown)

    def action_go(self) -> None:
        """Close the alert, or go on to the comparison."""
        view = self.view
        if view is None:
            return
        alert = self._alert(view)
        if view.state in _OVER:
            self.shell.finish_step(5, "evaluate")
        elif alert is not None:
            self._dismissed.add((alert.id, alert.step))
            self.show_run(view)
        else:
            self.shell.say("The comparison with the base comes when training is over.")

    def action_pause(self) -> None:
        """Pause; or go on with what is paused, stopped, lost or failed."""
        if self.view is not None and self.view.state in _RESUMABLE and not self.view.alive:
            from tui_ft.runs import launch

            self.launch(launch.resume, "Starting the process again from its last checkpoint")
        else:
            self.request("pause", "Pausing after this step; the checkpoint is kept.")

    def action_save(self) -> None:
        """A checkpoint now."""
        self.request("save", "Saving a checkpoint after this step.")

    def action_evaluate(self) -> None:
        """The validation loss now."""
        self.request("evaluate", "Measuring the validation loss after this step.")

    def action_stop(self) -> None:
        """Stop and keep, after asking."""
        view = self.view
        if view is not None and (view.state == "queued" or view.shutdown_at is not None):
            self.run_worker(self._call_off(), group="request", exit_on_error=False)
            return
        if view is None or not view.alive:
            self.shell.say("There is nothing to stop: the run is not at work.")
            return
        from .dialogs import Confirm

        kept = (
            f"the weights of step {view.best.step:,}, the best so far" if view.best else "the newest weights"
        )
        rest = f" That saves about {duration(sum(view.eta_s) / 2)}." if view.eta_s else ""
        self.shell.push_screen(
            Confirm(
                "Stop this run?",
                f"It ends after this step and keeps {kept}.{rest} It can be resumed later.",
                yes="Stop and keep",
                no="Carry on",
            ),
            self._stop,
        )

    async def _call_off(self) -> None:
        """Take a waiting run out of its queue, or call off the end of the box."""
        from tui_ft.runs import queue

        folder = self.folder
        if folder is not None and await in_thread(lambda: queue.cancel(folder)):
            self.shell.say("It is taken out of the queue.")
        else:
            self.request("stop", "The end of the box is called off.")

    def _stop(self, yes: bool | None) -> None:
        if yes:
            self.request("stop", "Stopping after this step; the best weights are kept.")

    def action_epoch(self) -> None:
        """Stop when the epoch is over."""
        self.request("stop-at-epoch", "Stopping at the end of this epoch; the best weights are kept.")

    def action_change(self) -> None:
        """Change a setting of the training at work."""
        self.run_worker(self._change(), group="dialog", exit_on_error=False)

    async def _change(self) -> None:
        from tui_ft.runs import changes, control

        from .dialogs import Ask, Select
        from .widgets.choice import Item

        folder = self.folder
        if folder is None:
            return
        items = [Item(key, key) for key in changes.CHANGEABLE]
        about = "It counts from the end of this step, and again when the run is resumed."
        key = await self.shell.push_screen_wait(Select("What is to change?", items, text=about, marks=False))
        if key is None:
            return
        recipe = await in_thread(folder.read_recipe)

        def check(text: str) -> None:
            changes.from_texts(recipe, [f"{key}={text}"])

        text = await self.shell.push_screen_wait(Ask(key, help="The new value.", check=check))
        if text is None:
            return
        try:
            values = changes.from_texts(recipe, [f"{key}={text}"])
            asked = await in_thread(lambda: control.change(folder, values))
        except TuiFtError as error:
            self.failed(error)
        else:
            self.shell.say("It counts after this step." if asked else "It counts when the run goes on.")

    def action_recipe(self) -> None:
        """The recipe of this run."""
        if self.folder is not None:
            self.read_file(self.folder.recipe, "Recipe")

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self._log_scale = not self._log_scale
        self._redraw_run()

    def action_pane(self, pane: str) -> None:
        """One pane alone; the same key again, or esc, brings the others back."""
        self._pane = "" if pane == self._pane else pane
        self.set_class(bool(self._pane), "-zoom")
        self.set_class(self._pane in _SMALL, "-zoom-small")
        for name in ("loss", "machine", "news"):
            self.set_class(self._pane == name, f"-zoom-{name}")
        for name in _SMALL:
            self.query_one(f"#{name}").set_class(self._pane == name, "-alone")
        self.call_after_refresh(self._redraw_run)

    def action_cursor(self, direction: int) -> None:
        """Move the upright line over the curves; the legend tells the figures there."""
        steps = self.view.curves["loss"].steps if self.view is not None else ()
        if not steps:
            self.shell.say("There is no curve to read yet.")
            return
        if self._cursor is None:
            at = len(steps) - 1
        else:
            stride = max(1, len(steps) // _CURSOR_STOPS)
            at = min(len(steps) - 1, max(0, bisect_left(steps, self._cursor) + direction * stride))
        self._cursor = steps[at]
        self._redraw_run()

    def action_overlay(self) -> None:
        """Choose a run whose curve lies under this one's."""
        self.run_worker(self._choose_overlay(), group="dialog", exit_on_error=False)

    async def _choose_overlay(self) -> None:
        from .dialogs import Select
        from .runs import past_runs
        from .widgets.choice import Item

        home = self.shell.home
        others = [run for run in await in_thread(lambda: past_runs(home)) if run.id != self.draft.run]
        if not others:
            self.shell.say("There is no other run on this machine.")
            return
        items = [Item("", ink("no other curve", MUTED)), *(Item(run.id, run.id) for run in others)]
        about = "It is drawn in grey under this run's."
        current = self._other.folder.id if self._other is not None else items[1].id
        chosen = await self.shell.push_screen_wait(
            Select("Which run's curve?", items, text=about, current=current, marks=False)
        )
        if chosen is not None:
            await in_thread(lambda: self._open_other(chosen))
            self._redraw_run()

    def _open_other(self, run_id: str) -> None:
        from tui_ft.runs.folder import find
        from tui_ft.runs.view import RunWatcher

        self._other = RunWatcher(find(self.shell.home, run_id)) if run_id else None
        self._other_view = self._other.poll() if self._other is not None else None

    def action_alerts(self) -> None:
        """Everything that needed the user so far."""
        from .dashboard import alerts
        from .dialogs import Reader

        rows = alerts(self.view) if self.view is not None else []
        if rows:
            self.shell.push_screen(Reader("Alerts", stack(rows)))
        else:
            self.shell.say("Nothing has needed you so far.")

    def action_back(self) -> None:
        """First back to all panes and without cursor, then to the runs."""
        if self._cursor is not None:
            self._cursor = None
            self._redraw_run()
        elif self._pane:
            self.action_pane(self._pane)
        else:
            super().action_back()

    def _redraw_run(self) -> None:
        if self.view is not None:
            self.show_run(self.view)

    def action_leave(self) -> None:
        """Leave the program; the run goes on."""
        self.shell.exit()
