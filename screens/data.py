"""Step 4: what is in the data, what is wrong with it, what would be learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from tui_ft.text import count

from . import data_text, keys
from .data_text import SHAPES, severity
from .ink import MUTED, ink, join, mark, short_path, stack
from .page import Page, in_thread
from .pick_data import check_data, know_model
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.data.rows import DatasetReport, Finding

    from .draft import Draft
    from .repair import Repair


class DataPage(Page):
    """The report; from here mapping, split and findings are corrected."""

    place = "data"
    BINDINGS = keys.bindings("data")

    def __init__(self) -> None:
        super().__init__()
        self._tried: int | None = None  # a length limit that is being looked at

    def body(self) -> ComposeResult:
        """The report as one text."""
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        paths = " ".join(map(short_path, self.draft.data_paths))
        return f"tui-ft check {paths} --model {short_path(self.draft.model_id)}"

    def on_mount(self) -> None:
        """Show the report; read the data again after a resume or a change of the model."""
        self.focus_body()
        if self.draft.report is None:
            self.start(self._check(), "Reading the data")
        else:
            self._show(self.draft.report)

    async def _check(self) -> None:
        await know_model(self.shell)
        draft = self.draft
        report = await check_data(draft, self.progress)
        self.shell.change(report=report)
        self._show(report)

    def _show(self, report: DatasetReport) -> None:
        limit, tried = self.draft.value("train.seq_len"), self._tried
        self.query_one("#facts", Lines).show(lambda width: data_text.describe(report, limit, tried, width))
        self.refresh_footer()

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """While something blocks, accepting takes the place of the preview."""
        shown = super().footer_keys()
        report = self.draft.report
        if report is None or not report.blocked:
            return shown
        accept = next(key for key in keys.PLACES["data"] if key.id == "data.accept")
        return tuple(replace(accept, footer=True) if key.id == "data.preview" else key for key in shown)

    def _recheck(self, **changes: Any) -> None:
        """Change recipe keys of [data] and read the data again."""
        self.shell.set_values(**changes)
        self.start(self._check(), "Reading the data again")

    # Keys

    def action_next(self) -> None:
        """On to the plan, unless something blocks."""
        report = self.draft.report
        if report is None:
            self.shell.say("The data is not read yet; c chooses another file.")
        elif report.blocked:
            self.notice.warn(
                "Something in the data must be mended or accepted before training.",
                "f shows where it is; a accepts it and trains on the rest.",
            )
        else:
            self.shell.finish_step(3, "plan")

    def action_change(self) -> None:
        """Other data."""
        self.shell.open("pick-data")

    def action_findings(self) -> None:
        """The findings, each opened to its rows."""
        report = self.draft.report
        if report is None or not report.findings:
            self.shell.say("Nothing was found.")
            return
        self.run_worker(self._read_findings(report.findings), group="dialog", exit_on_error=False)

    async def _read_findings(self, found: Sequence[Finding]) -> None:
        from .dialogs import Reader, Select
        from .widgets.choice import Item

        items = [Item(f.id, join(mark(severity(f)), " ", ink(f.what))) for f in found]
        current: str | None = ""
        while current is not None:
            current = await self.shell.push_screen_wait(
                Select("Findings", items, current=current, marks=False)
            )
            finding = next((f for f in found if f.id == current), None)
            if finding is not None:
                await self.shell.push_screen_wait(Reader(finding.what, data_text.finding_text(finding)))

    def action_accept(self) -> None:
        """Put the findings that block into [data] ignore."""
        report = self.draft.report
        blocking = [f for f in report.findings if f.blocks] if report is not None else []
        if not blocking:
            self.shell.say("Nothing blocks.")
            return
        from .dialogs import Confirm

        self.shell.push_screen(
            Confirm(
                "Accept these findings?",
                stack(
                    [*(join(mark("error"), " ", ink(f.what)) for f in blocking), "The recipe will name them."]
                ),
                yes="Accept them and go on",
                no="No, I will mend the data",
            ),
            lambda yes: self._accept([f.id for f in blocking]) if yes else None,
        )

    def _accept(self, ids: Sequence[str]) -> None:
        before = self.draft.value("data.ignore") or []
        self._recheck(data__ignore=[*before, *(name for name in ids if name not in before)])

    def action_mapping(self) -> None:
        """Say what the rows are and which column is what."""
        if self.draft.report is not None:
            self.run_worker(self._map(self.draft.report), group="dialog", exit_on_error=False)

    async def _map(self, report: DatasetReport) -> None:
        from tui_ft.data.shapes import PARTS

        from .dialogs import Select
        from .widgets.choice import Item

        shapes = [Item(s, words) for s, words in SHAPES.items() if s != "unknown"]
        about = f"Columns in the file: {', '.join(report.columns) or 'none'}"
        shape = await self.shell.push_screen_wait(
            Select("What is a row?", shapes, text=about, current=report.mapping.shape)
        )
        if shape is None:
            return
        chosen: dict[str, str] = {}
        parts = PARTS[shape]  # type: ignore[index]  # the ids are the shapes
        for part in parts.all:
            needed = part in parts.required
            known = report.mapping.columns.get(part, part if part in report.columns else "")
            items = [Item(column, column) for column in report.columns]
            if not needed:
                items.insert(0, Item("", ink("no column", MUTED)))
            text = "It is required." if needed else "It is optional."
            column = await self.shell.push_screen_wait(
                Select(f"Which column is the {part}?", items, text=text, current=known)
            )
            if column is None:
                return
            if column:
                chosen[part] = column
        self._recheck(data__format=shape, data__columns=chosen)

    def action_limit(self, direction: int) -> None:
        """Move the line on the lengths and see what it would cut."""
        report = self.draft.report
        steps = data_text.limits(report.lengths) if report is not None and report.lengths else []
        if report is None or not steps:
            self.shell.say("Lengths are unknown without the model's tokenizer.")
            return
        now = self._tried or self.draft.value("train.seq_len") or steps[-1]
        at = min(range(len(steps)), key=lambda n: abs(steps[n] - now)) + direction
        self._tried = steps[min(len(steps) - 1, max(0, at))]
        self._show(report)

    def action_take_limit(self) -> None:
        """Make the line the recipe's limit; again gives it back to the plan."""
        if self._tried is None and self.draft.value("train.seq_len") is None:
            self.shell.say("←→ chooses a limit first; without one the plan decides.")
            return
        limit, self._tried = self._tried, None
        self.shell.set_values(train__seq_len=limit)
        self.start(self._check(), "Reading the data again")

    def action_repair(self) -> None:
        """Write a repaired copy of the data and go on with it."""
        report = self.draft.report
        if report is not None:
            self.start(self._repair(), "Looking for what can be repaired")

    async def _repair(self) -> None:
        from .repair import Repair, plan

        draft = self.draft
        offers = (await in_thread(lambda: plan(draft, self.progress))).offers
        if not offers:
            self.shell.say("There is nothing to repair.")
            return
        self.run_worker(self._offer_repair(Repair(offers), draft), group="dialog", exit_on_error=False)

    async def _offer_repair(self, dialog: Repair, draft: Draft) -> None:
        from .repair import suggested

        chosen = await self.shell.push_screen_wait(dialog)
        if chosen is None:
            return
        from .dialogs import Ask

        target = await self.shell.push_screen_wait(
            Ask(
                "Write the repaired copy to",
                value=str(suggested(draft)),
                help="The data stay as they are. Beside the copy, a log names every row that was changed.",
            )
        )
        if target:
            self.start(self._write_repair(draft, Path(target), chosen), "Writing the copy", whole=True)

    async def _write_repair(self, draft: Draft, out: Path, chosen: Sequence[str]) -> None:
        from .repair import apply

        done = await in_thread(lambda: apply(draft, out, chosen, self.progress))
        self.shell.say(
            f"{count(done.kept, 'row')} written, {done.changed:,} changed, {done.dropped:,} dropped."
        )
        self.shell.set_values(data__path=str(done.out))
        await self._check()

    def action_split(self) -> None:
        """How many rows are held out."""
        from .dialogs import Ask

        if self.draft.value("data.validation_path") or self.draft.value("data.test_path"):
            self.shell.say("This data brings its own held-out rows.")
            return
        validation, test = (self.draft.value(f"data.{part}") for part in ("validation", "test"))
        shown = (
            f"{100 * (0.1 if validation is None else validation):g} {100 * (0.1 if test is None else test):g}"
        )
        self.shell.push_screen(
            Ask(
                "How many per cent are held out?",
                value=shown,
                help="Two numbers: for watching during training, and for the comparison at the end.\n"
                "10 10 is usual; with few rows more, with very many less.",
                check=shares,
            ),
            self._split,
        )

    def _split(self, answer: str | None) -> None:
        if answer is not None:
            validation, test = shares(answer)
            self._recheck(data__validation=validation, data__test=test)

    def action_system(self) -> None:
        """A system prompt for rows that have none."""
        from .dialogs import Ask

        self.shell.push_screen(
            Ask(
                "System prompt",
                value=str(self.draft.value("data.system") or ""),
                help="Put before every row that has none. Use the same one when the model is at work.\n"
                "Leave it empty for none.",
            ),
            lambda answer: None if answer is None else self._recheck(data__system=answer or None),
        )

    def action_preview(self) -> None:
        """Rows as the model will see them."""
        self.start(self._preview(), "Preparing the preview")

    async def _preview(self) -> None:
        from .preview import Preview, preview_rows

        draft = self.draft
        rows = await in_thread(lambda: preview_rows(draft))
        await self.shell.push_screen(Preview(rows))


def shares(text: str) -> tuple[float, float]:
    """Two percentages as shares. Raises ValueError with what to type."""
    try:
        validation, test = (float(part.strip("%").replace(",", ".")) / 100 for part in text.split())
    except ValueError:
        raise ValueError("Type two numbers, such as 10 10.") from None
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 0.9):
        raise ValueError("Together they must leave rows to learn from.")
    return round(validation, 4), round(test, 4)
