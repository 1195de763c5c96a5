"""Step 5: the whole plan with its reasons; change what you like, save it, start it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from tui_ft.errors import InputError, TuiFtError
from tui_ft.text import percent, size

from . import keys, plan_text
from .ink import MUTED, WARN, hang, ink, join, short_path, stack
from .page import Page, in_thread
from .pick_data import check_data, know_model
from .widgets.choice import Choice, Item
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.planning.plan import Plan
    from tui_ft.settings import Home

    from .draft import Draft

_HIDDEN = ("decision.", "track.")  # not for this page: the checklist's record, and what needs accounts
_UNPINNED = "<derive>"


class PlanPage(Page):
    """Costs above, choices below; every edit makes the plan anew."""

    place = "plan"
    BINDINGS = keys.bindings("plan")

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[plan_text.Choice] = []

    def body(self) -> ComposeResult:
        """Summary, table, the reason of the marked line."""
        yield Lines(id="summary")
        yield Choice(marks=False, id="choices")
        yield Lines(id="why")

    def command(self) -> str:
        """The same on the command line."""
        if not self.draft.recipe_path:
            return f"tui-ft train {self._file_name()}   (after w)"
        return f"tui-ft train {short_path(self.draft.recipe_path)}"

    def _file_name(self) -> str:
        name = self.draft.name or (self.draft.plan.name if self.draft.plan is not None else "recipe")
        return f"{name}.toml"

    def on_mount(self) -> None:
        """Make the plan, or show the one that is there."""
        self.query_one("#body").add_class("-still")
        self.query_one(Choice).focus()
        if self.draft.plan is None:
            self.start(self._make(), "Making the plan")
        else:
            self._show(self.draft.plan, {})

    # Making

    async def _make(self, before: Draft | None = None) -> None:
        """Find out what a resume has forgotten, then plan. An edit that cannot be goes back to `before`."""
        try:
            await self._know()
            recipe = self.draft.to_recipe()
            facts, report, hardware = self.draft.facts, self.draft.report, self.draft.hardware

            def make_plan() -> Plan:
                from tui_ft.planning.make import make

                assert facts is not None
                assert report is not None
                assert hardware is not None
                return make(recipe, facts, report, hardware)

            self.progress("Making the plan")
            plan = await in_thread(make_plan)
        except TuiFtError:
            if before is not None:
                self.shell.set_draft(before)
            raise
        old = {row.key: row.value for row in self._rows}
        self.shell.change(plan=plan)
        self._show(plan, old)

    async def _know(self) -> None:
        if self.draft.hardware is None:
            from tui_ft.hardware.detect import detect

            home = self.shell.home
            self.shell.change(hardware=await in_thread(lambda: detect(home)))
        await know_model(self.shell)
        if self.draft.report is None:
            draft = self.draft
            self.shell.change(report=await in_thread(lambda: check_data(draft, self.progress)))

    def _show(self, plan: Plan, before: dict[str, str]) -> None:
        self._rows = plan_text.choices(plan)
        self.query_one("#summary", Lines).show(lambda width: _summary(plan, width))
        lines = plan_text.table(self._rows, before)
        items = [Item(row.key, line) for row, line in zip(self._rows, lines, strict=True)]
        self.query_one(Choice).fill(items)
        self.refresh_footer()
        self.redraw()

    @on(Choice.Moved)
    def _explain(self, event: Choice.Moved) -> None:
        row = next((row for row in self._rows if row.key == event.item.id), None)
        if row is not None:
            self.query_one("#why", Lines).show(lambda width: plan_text.why_lines(row, width))

    # Editing

    def action_edit(self) -> None:
        """Change the marked value."""
        item = self.query_one(Choice).current
        if item is not None:
            self.run_worker(self._edit(item.id), group="dialog", exit_on_error=False)

    def action_unpin(self) -> None:
        """Give the marked value back to the plan."""
        item = self.query_one(Choice).current
        if item is None:
            return
        if self.draft.value(item.id) is None:
            self.shell.say("This value is derived already.")
        else:
            self._change({item.id: None})

    def action_options(self) -> None:
        """Choose any option of a recipe and change it."""
        self.run_worker(self._options(), group="dialog", exit_on_error=False)

    async def _options(self) -> None:
        from tui_ft.recipe import options

        from .dialogs import Select
        from .ink import columns

        found = [
            (key, option)
            for key, option in options()
            if "." in key and not key.startswith(_HIDDEN) and key not in ("model.id", "data.path")
        ]
        pinned = {row.key: row.value for row in self._rows}
        cells: list[list[Content | str]] = []
        for key, option in found:
            given = self.draft.value(key)
            value = pinned.get(key, str(option.default if given is None else given))
            cells.append([ink(key), ink(value[:16]), ink(option.description or "", MUTED)])
        lines = columns(cells, gap=2)
        items = [Item(key, line) for (key, _), line in zip(found, lines, strict=True)]
        chosen = await self.shell.push_screen_wait(Select("All options", items, marks=False, wide=True))
        if chosen is not None:
            await self._edit(chosen)

    async def _edit(self, key: str) -> None:
        from tui_ft.recipe import options, value_from_text

        from .dialogs import Ask, Select

        option = dict(options())[key]
        given = self.draft.value(key)
        shown = next((row.value for row in self._rows if row.key == key), "")
        cost = option.json_schema_extra.get("cost", "") if isinstance(option.json_schema_extra, dict) else ""
        about = "\n".join(filter(None, [option.description, f"Cost: {cost}." if cost else ""]))
        named = _named_values(option.annotation)
        if named:
            items = [Item(value, value) for value in named]
            items.append(Item(_UNPINNED, ink("let the plan decide", MUTED)))
            current = str(given).lower() if given is not None else _UNPINNED
            answer = await self.shell.push_screen_wait(Select(key, items, text=about, current=current))
            value = None if answer == _UNPINNED else _typed(answer, named)
        else:
            answer = await self.shell.push_screen_wait(
                Ask(
                    key,
                    value="" if given is None else _text(given),
                    help=f"{about}\nNow: {shown or _text(given if given is not None else option.default)}."
                    " Empty: let the plan decide.",
                    check=lambda text: self._try(key, value_from_text(key, text)),
                )
            )
            value = None if answer is None else value_from_text(key, answer)
        if answer is not None:
            self._change({key: value})

    def _try(self, key: str, value: Any) -> None:
        """Raises InputError when the recipe could not hold this value."""
        self.draft.with_values({key: value}).to_recipe()

    def _change(self, changes: dict[str, Any]) -> None:
        before = self.draft
        self.shell.set_draft(before.with_values(changes))
        # A limit or a split is judged on the rows; everything else leaves their report as it is.
        if not any(key.startswith("data.") for key in changes):
            self.shell.draft = replace(self.draft, report=before.report)
        self.start(self._make(before), "Working it out anew")

    def action_name(self) -> None:
        """Name the run."""
        from .dialogs import Ask

        plan = self.draft.plan
        self.shell.push_screen(
            Ask(
                "Name of the run",
                value=self.draft.name or (plan.name if plan is not None else ""),
                help="Letters, digits, dot, hyphen, underscore. It names the run's folder and the recipe.",
                check=lambda text: replace(self.draft, name=text).to_recipe(),
            ),
            self._named,
        )

    def _named(self, answer: str | None) -> None:
        if answer is not None:
            before = self.draft
            self.shell.change(name=answer, plan=None)
            self.start(self._make(before), "Working it out anew")

    # Reading, saving, starting

    def action_why(self) -> None:
        """What the memory figure rests on."""
        from .dialogs import Reader

        if self.draft.plan is not None:
            self.shell.push_screen(
                Reader("The memory estimate", stack(plan_text.assumptions(self.draft.plan)))
            )

    def action_save(self) -> None:
        """Write the recipe."""
        from .dialogs import Ask

        suggested = self.draft.recipe_path or str(Path.cwd() / self._file_name())
        self.shell.push_screen(
            Ask(
                "Write the recipe to",
                value=suggested,
                help="What you chose is written; what was derived is not.",
            ),
            self._save,
        )

    def _save(self, answer: str | None) -> None:
        if not answer:
            return
        path = Path(answer).expanduser().absolute()
        path = path if path.suffix else path.with_suffix(".toml")
        if path.exists() and str(path) != self.draft.recipe_path:
            from .dialogs import Confirm

            self.shell.push_screen(
                Confirm("Overwrite this file?", str(path), yes="Overwrite it", no="Keep it"),
                lambda yes: self.start(self._write(path), "Writing the recipe") if yes else None,
            )
        else:
            self.start(self._write(path), "Writing the recipe")

    async def _write(self, path: Path) -> None:
        from tui_ft.recipe import save

        recipe = self.draft.to_recipe()
        await in_thread(lambda: save(recipe, path))
        self.shell.change(recipe_path=str(path))
        self.shell.say(f"Written to {path}.")

    def action_start(self) -> None:
        """Start the run in the background and open its dashboard."""
        if self.busy:
            if not self.must_wait():
                self.shell.say("The plan is still being worked out.")
        elif self.draft.plan is None:
            self.shell.say("There is no plan yet.")
        else:
            self.start(self._start(), "Starting the run", whole=True)

    async def _start(self) -> None:
        draft, home = self.draft, self.shell.home

        def fetching(done: int, total: int) -> None:
            share = f", {percent(done / total)}" if total else ""
            self.progress(f"Fetching the model's weights: {size(done)} of {size(total)}{share}")

        run = await in_thread(lambda: start_run(draft, home, fetching))
        self.shell.draft = self.draft.with_run(run)
        self.shell.finish_step(4, "train")


def start_run(draft: Draft, home: Home, fetching: Callable[[int, int], None]) -> str:
    """Fetch the weights if need be and start the run, in a thread; returns its id. Raises TuiFtError."""
    from tui_ft import pipeline
    from tui_ft.models.tokenizer import ChatTokenizer

    if draft.hardware is None or draft.facts is None or draft.report is None or draft.plan is None:
        raise InputError("the plan is not ready", fix="Wait until it is made.")
    folder = draft.facts.folder
    prepared = pipeline.Prepared(
        recipe=draft.to_recipe(),
        base=Path.cwd(),
        hardware=draft.hardware,
        model=draft.facts,
        tokenizer=ChatTokenizer.load(folder) if folder is not None else None,
        report=draft.report,
        plan=draft.plan,
    )
    return pipeline.start(prepared, home, progress=fetching).id


def _summary(plan: Plan, width: int) -> list[Content]:
    lines = plan_text.summary(plan, width)
    for warning in plan.warnings:
        lines += hang(ink("! ", WARN), warning, width)
    legend = join(ink("▪", "$accent"), ink(" yours   ▫ derived", MUTED))
    return [*lines, Content(" " * max(0, width - legend.cell_length)) + legend]


def _named_values(annotation: Any) -> list[str]:
    """The words an option may be, for those that are a list of words or yes/no; else empty."""
    members = [annotation, *get_args(annotation)]
    if bool in members:
        return ["true", "false"]
    words = [value for member in members for value in get_args(member) if isinstance(value, str)]
    words += [value for value in get_args(annotation) if isinstance(value, str)]
    plain = {int, float, str, list} & {getattr(m, "__origin__", m) for m in members}
    return list(dict.fromkeys(words)) if words and not plain else []


def _typed(answer: str | None, named: list[str]) -> Any:
    if named == ["true", "false"]:
        return answer == "true"
    return answer


def _text(value: Any) -> str:
    if isinstance(value, float):
        return plan_text.short_number(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return "" if value is None else str(value)
