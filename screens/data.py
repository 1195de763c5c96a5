"""Step 4: what is in the data, what is wrong with it, what would be learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.content import Content

from tui_ft.text import count, percent

from . import keys
from .ink import MUTED, STRONG, facts, hang, ink, join, mark, prose, short_path, spread, stack
from .page import Page, in_thread
from .pick_data import check_data, know_model
from .widgets.bar import histogram
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.data.rows import DatasetReport, Finding

_SHAPES = {
    "messages": "conversations (messages)",
    "sharegpt": "conversations (ShareGPT)",
    "alpaca": "instructions (Alpaca)",
    "prompt-completion": "prompt and answer pairs",
    "text": "plain text",
    "preference": "preference pairs",
    "kto": "answers marked good or bad",
    "unknown": "rows of an unknown shape",
}
_LOOKS = {
    "json": "are JSON",
    "label": "are short labels",
    "short": "are short texts",
    "long": "are long texts",
    "none": "",
}


class DataPage(Page):
    """The report; from here mapping, split and findings are corrected."""

    place = "data"
    BINDINGS = keys.bindings("data")

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
        report = await in_thread(lambda: check_data(draft, self.progress))
        self.shell.change(report=report)
        self._show(report)

    def _show(self, report: DatasetReport) -> None:
        limit = self.draft.value("train.seq_len")
        self.query_one("#facts", Lines).show(lambda width: describe(report, limit, width))
        self.refresh_footer()

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """While something blocks, accepting takes the place of the mapping."""
        shown = super().footer_keys()
        report = self.draft.report
        if report is None or not report.blocked:
            return shown
        accept = next(key for key in keys.PLACES["data"] if key.id == "data.accept")
        return tuple(replace(accept, footer=True) if key.id == "data.mapping" else key for key in shown)

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

        items = [Item(f.id, join(mark(_severity(f)), " ", ink(f.what))) for f in found]
        current: str | None = ""
        while current is not None:
            current = await self.shell.push_screen_wait(
                Select("Findings", items, current=current, marks=False)
            )
            finding = next((f for f in found if f.id == current), None)
            if finding is not None:
                await self.shell.push_screen_wait(Reader(finding.what, finding_text(finding)))

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

        shapes = [Item(s, words) for s, words in _SHAPES.items() if s != "unknown"]
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


def describe(report: DatasetReport, limit: int | None, width: int) -> list[Content]:
    """The report as text."""
    name = ", ".join(Path(path).name for path in report.paths[:3])
    used = "" if report.usable_rows == report.rows else f", {report.usable_rows:,} of them usable"
    title = spread(ink(name, STRONG), ink(f"{count(report.rows, 'row')}{used}"), width)
    columns = report.mapping.columns.items()
    mapped = ", ".join(part if part == column else f"{part} ← {column}" for part, column in columns)
    unsure = "" if report.mapping.confident else "   a guess: m corrects it"
    rows: list[tuple[str, Content | str]] = [
        ("rows are", join(_SHAPES[report.mapping.shape], ink(f"   {mapped}", MUTED), ink(unsure, "$warn"))),
    ]
    if _LOOKS[report.answers_look_like]:
        typical = (
            f"{_LOOKS[report.answers_look_like]}, typically {report.median_answer_characters:,} characters"
        )
        rows.append(("answers", typical))
    sizes = report.sizes
    held = join(
        f"{sizes.train:,} to learn from",
        ink(" · ", MUTED),
        f"{sizes.validation:,} to watch",
        ink(" · ", MUTED),
        f"{sizes.test:,} to compare with",
    )
    rows.append(("split", held))
    lines = [title, *facts(rows, width), *_lengths(report, limit, width), Content("")]
    if not report.findings:
        return [*lines, join(mark("good"), " Nothing stands out.")]
    for finding in report.findings:
        accepted = ink("   accepted", MUTED) if finding.ignored else Content("")
        lines += hang(join(mark(_severity(finding)), " "), join(ink(finding.what), accepted), width)
        if finding.blocks:
            lines += hang("  ", prose(finding.fix, MUTED), width)
    return lines


def _lengths(report: DatasetReport, limit: int | None, width: int) -> list[Content]:
    lengths = report.lengths
    if lengths is None:
        why = "unknown until the model's tokenizer is on this machine"
        return facts([("tokens", ink(why, MUTED))], width)
    share = lengths.answer_tokens / lengths.total_tokens if lengths.total_tokens else None
    told = f"{lengths.total_tokens:,}, of which {percent(share)} are learned from"
    spread_out = f"half ≤ {lengths.percentile(0.5):,} · 99 % ≤ {lengths.percentile(0.99):,} · longest "
    spread_out += f"{max(lengths.lengths, default=0):,}"
    rows: list[tuple[str, Content | str]] = [("tokens", told), ("lengths", spread_out)]
    if limit:
        cut = lengths.cut_at(limit)
        rows.append(("limit", f"{limit:,} tokens cut {count(cut, 'row')}"))
    bars = histogram(lengths.lengths, min(60, width - 11), limit)
    return facts(rows, width) + [join(" " * 11, bar) for bar in bars]


def finding_text(finding: Finding) -> Content:
    """A finding with why it hurts, what to do, and where it is."""
    lines: list[Content | str] = [
        prose(finding.why),
        "",
        join(ink("What to do  ", MUTED), prose(finding.fix)),
        "",
    ]
    for example in finding.examples:
        lines.append(join(ink(f"{Path(example.file).name}:{example.line}  ", MUTED), prose(example.excerpt)))
    if finding.count > len(finding.examples) > 0:
        lines.append(ink(f"and {finding.count - len(finding.examples):,} more", MUTED))
    lines += ["", ink(f'To accept it: ignore = ["{finding.id}"] in [data] of the recipe.', MUTED)]
    return stack(lines)


def shares(text: str) -> tuple[float, float]:
    """Two percentages as shares. Raises ValueError with what to type."""
    try:
        validation, test = (float(part.strip("%").replace(",", ".")) / 100 for part in text.split())
    except ValueError:
        raise ValueError("Type two numbers, such as 10 10.") from None
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 0.9):
        raise ValueError("Together they must leave rows to learn from.")
    return round(validation, 4), round(test, 4)


def _severity(finding: Finding) -> str:
    return "info" if finding.ignored else finding.severity
