"""Step 7: is the tuned model better than the base, on rows neither has seen?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content

from tui_ft.text import duration, excerpt

from . import keys
from .ink import ACCENT, BAD, GOOD, MUTED, STRONG, WARN, columns, fit, hang, ink, join, mark, prose
from .run_page import RunPage
from .widgets.bar import level
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.evaluation.report import EvalReport, Sample
    from tui_ft.runs.folder import RunFolder
    from tui_ft.runs.status import Reality
    from tui_ft.runs.view import RunView

_VERDICTS = {
    "clearly better": ("✓", GOOD, "The tuned model is clearly better."),
    "no clear difference": ("!", WARN, "No clear difference."),
    "worse": ("✗", BAD, "The tuned model is worse than the base."),
}
_BETTER = {
    "tuned": ("▲ tuned", GOOD),
    "base": ("▼ base", BAD),
    "unclear": ("may be chance", MUTED),
}


class EvaluatePage(RunPage):
    """Starts the comparison, follows it, shows what came out."""

    place = "evaluate"
    BINDINGS = keys.bindings("evaluate")

    def __init__(self) -> None:
        super().__init__()
        self._report: EvalReport | None = None
        self._job: Reality | None = None

    def body(self) -> ComposeResult:
        """Progress or result as one text."""
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        return f"tui-ft eval {self.draft.run}"

    def on_mount(self) -> None:
        """The arrow keys scroll."""
        self.focus_body()

    def read_more(self, folder: RunFolder) -> None:
        """The report, once it is there, and the job's state."""
        from tui_ft.evaluation.report import load

        self._job = self.reality("evaluate")
        self._report = None if self._job is not None and self._job.alive else load(folder.evaluation)

    def show_run(self, view: RunView) -> None:
        """Draw what there is."""
        job, report = self._job, self._report
        facts = self.query_one("#facts", Lines)
        if job is not None and job.alive:
            facts.show(
                lambda width: working(job, view, "Answering the held-out rows with both models", width)
            )
        elif report is not None:
            facts.show(lambda width: describe(report, width))
        elif job is not None and job.state in ("failed", "lost"):
            facts.show(lambda width: broken(job, "The comparison", width))
        else:
            facts.show(lambda width: introduction(view, width))
        self.refresh_footer()

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """Enter compares first and goes on later."""
        working = self._job is not None and self._job.alive
        shown: list[keys.Key] = []
        for key in super().footer_keys():
            match key.id:
                case "evaluate.next" if working:
                    continue
                case "evaluate.next":
                    label = "go on to export" if self._report is not None else "compare now"
                    shown.append(replace(key, label=label))
                case "evaluate.again" | "evaluate.samples" if self._report is None or working:
                    continue
                case _:
                    shown.append(key)
        return tuple(shown)

    def action_next(self) -> None:
        """Compare; with a result go on."""
        if self._job is not None and self._job.alive:
            self.shell.say("The comparison is still at work.")
        elif self._report is not None:
            self.shell.finish_step(6, "export")
        else:
            self.action_again()

    def action_again(self) -> None:
        """Start the comparison."""
        from tui_ft.runs import launch

        self.launch(lambda folder: launch.start(folder, "evaluate"), "Starting the comparison")

    def action_samples(self) -> None:
        """The answers side by side."""
        if self._report is None:
            self.shell.say("There are no answers yet.")
            return
        from .dialogs import Reader

        found = self._report.samples
        self.shell.push_screen(Reader("Answers", lambda width: samples(found, width)))


def introduction(view: RunView, width: int) -> list[Content]:
    """Before anything was compared."""
    if view.state not in ("finished", "stopped"):
        text = f"Training is {view.state}; the comparison comes when it is over."
        return [Content(""), *hang(join(mark("info"), " "), text, width)]
    return [
        Content(""),
        ink("Is the tuned model better than the base?", STRONG),
        Content(""),
        *hang(
            "",
            "Both models answer the held-out rows, which training has not seen. The answers are compared "
            "with the expected ones, and the difference is shown with its uncertainty.",
            width,
        ),
        Content(""),
        *hang("", ink("enter starts it in the background; you can leave and come back.", MUTED), width),
    ]


def working(job: Reality, view: RunView, title: str, width: int) -> list[Content]:
    """A job at work: what it does, how far it is, what it said."""
    status = job.status
    lines = [Content(""), ink(title, STRONG), Content("")]
    lines.append(ink(status.phase or status.state))
    if status.total:
        text = f" {status.done:,} of {status.total:,}"
        lines.append(join(level(status.done / status.total, min(50, width - len(text)), style=ACCENT), text))
    if job.silent_s is not None:
        lines += hang(ink("! ", WARN), f"no heartbeat for {job.silent_s:.0f} s", width)
    lines += [Content(""), *(ink(item.text, MUTED) for item in list(view.news)[::-1][:6])]
    return [*lines, Content(""), ink("You can leave; it goes on.", MUTED)]


def broken(job: Reality, what: str, width: int) -> list[Content]:
    """A job that did not reach its end."""
    lines = [
        Content(""),
        *hang(join(mark("error"), " "), ink(f"{what} did not reach its end.", STRONG), width),
    ]
    if job.message:
        lines += hang("  ", prose(job.message), width)
    if job.status.fix:
        lines += hang("  ", prose(job.status.fix, MUTED), width)
    return [*lines, Content(""), ink("enter tries again, l shows the log.", MUTED)]


def describe(report: EvalReport, width: int) -> list[Content]:
    """Verdict, table, how it was measured, the first sample."""
    sign, style, verdict = _VERDICTS[report.verdict]
    lines = [Content(""), join(ink(f"{sign} ", style), ink(verdict, STRONG))]
    lines += [*hang("  ", report.sentence, width), Content("")]
    lines += table(report)
    how = report.setting
    spent = sum(report.seconds.values())
    measured = (
        f"{report.rows} {how.split} rows, {how.precision} on {how.device}, {duration(spent)}. {report.why}"
    )
    lines += [Content(""), *hang("", ink(measured, MUTED), width)]
    for note in how.notes:
        lines += hang(join(mark("info"), " "), prose(note, MUTED), width)
    for sample in report.samples[:2]:
        lines += [Content(""), *side_by_side(sample, width)]
    return lines


def table(report: EvalReport) -> list[Content]:
    """A row per metric: base, tuned, difference with its interval, in words who is better."""
    from tui_ft.evaluation.compare import show
    from tui_ft.evaluation.metrics import METRICS

    head = [ink(text, MUTED) for text in ("", "base", "tuned", "difference", "95 % interval", "")]
    rows: list[list[Content | str]] = [[*head]]
    for name, difference in report.difference.items():
        metric = METRICS[name]
        scale, unit, digits = (100, " points", 0) if metric.bounded else (1, "", 2)
        low, high = (f"{scale * end:+.{digits}f}" for end in (difference.low, difference.high))
        word, style = _BETTER[difference.better]
        rows.append(
            [
                ink(metric.title, STRONG if name == report.primary else ""),
                show(name, report.base[name]),
                ink(show(name, report.tuned[name]), STRONG),
                f"{scale * difference.value:+.{digits}f}{unit}",
                ink(f"{low} to {high}", MUTED),
                ink(word, style),
            ]
        )
    return columns(rows, gap=2, align="lrrrr")


def side_by_side(sample: Sample, width: int) -> list[Content]:
    """One question, what was expected, and both answers, a line each."""
    rows = (
        ("question", sample.prompt, ""),
        ("expected", sample.reference, ""),
        ("base", sample.base, ""),
        ("tuned", sample.tuned, STRONG),
    )
    return [
        join(ink(f"{name:<10}", MUTED), ink(excerpt(text, width - 10), style)) for name, text, style in rows
    ]


def samples(found: Sequence[Sample], width: int) -> list[Content]:
    """All samples in full: question and expected answer, and below them base and tuned beside each other."""
    lines: list[Content] = []
    for number, sample in enumerate(found, 1):
        lines += hang(ink(f"question {number}  ", MUTED), prose(sample.prompt, STRONG), width)
        lines += hang(ink("expected    ", MUTED), prose(sample.reference), width)
        lines += [Content(""), *_beside("base", sample.base, "tuned", sample.tuned, width), Content("")]
    return lines


def _beside(left_title: str, left: str, right_title: str, right: str, width: int) -> list[Content]:
    half = (width - 3) // 2
    columns_of = [
        [ink(title, MUTED), *hang("", prose(text), half)]
        for title, text in ((left_title, left), (right_title, right))
    ]
    bar = ink(" │ ", "$rule")
    return [join(fit(a or Content(""), half), bar, b or Content("")) for a, b in zip_longest(*columns_of)]
