"""Step 6: the dashboard of a run. Leaving it changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content

from tui_ft.text import duration

from . import keys
from .ink import ink
from .run_page import RunPage
from .widgets.chart import LossChart
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.runs.readings import Alert
    from tui_ft.runs.view import RunView

    from .widgets.raster import Mode

_OVER = ("finished", "stopped")
_RESUMABLE = ("paused", "stopped", "failed", "lost")
_SMALL = ("lr", "grad_norm", "tokens_per_s")


class TrainPage(RunPage):
    """Watches one run and asks its worker for things."""

    place = "train"
    wide_rail = False
    BINDINGS = keys.bindings("train")

    def __init__(self) -> None:
        super().__init__()
        self._dismissed: set[tuple[str, int | None]] = set()
        self._log_scale = False
        self._drawn: object = None

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

    def show_run(self, view: RunView) -> None:
        """Draw everything; only rows that differ are sent."""
        from . import dashboard

        cost = dashboard.Cost(self.price)
        self.query_one("#legend", Lines).show([dashboard.legend(view)])
        self.query_one("#gauges", Lines).show(lambda width: dashboard.gauges(view, cost, width))
        self.query_one("#progress", Lines).show(lambda width: [dashboard.progress(view, width)])
        self.query_one("#news", Lines).show(dashboard.news(view, 5 if self.has_class("-tall") else 3))
        drawn = (view.curves["loss"], view.curves["eval_loss"], view.best, self._log_scale, self.app.theme)
        if drawn != self._drawn:
            self._drawn = drawn
            steps = float(view.steps) if view.steps else None
            traces = dashboard.loss_traces(view, shades=not self.app.native_ansi_color)
            self.query_one("#loss", LossChart).plot(traces, x_high=steps, log=self._log_scale)
            for name in _SMALL:
                curve = dashboard.series_of(view.curves[name])
                self.query_one(f"#{name}", LossChart).plot(curve, x_high=steps)
        alert, over = self._alert(view), dashboard.ending(view)
        box = self.query_one("#alert", Lines)
        box.display = over is not None or alert is not None
        if over is not None:
            box.show(lambda width: dashboard.message(*over, width))
        elif alert is not None:
            box.show(lambda width: dashboard.message(alert.severity, alert.what, alert.action, width))
        self.refresh_footer()

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

    def _stop(self, yes: bool | None) -> None:
        if yes:
            self.request("stop", "Stopping after this step; the best weights are kept.")

    def action_recipe(self) -> None:
        """The recipe of this run."""
        if self.folder is not None:
            self.read_file(self.folder.recipe, "Recipe")

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self._log_scale = not self._log_scale
        if self.view is not None:
            self.show_run(self.view)

    def action_leave(self) -> None:
        """Leave the program; the run goes on."""
        self.shell.exit()
