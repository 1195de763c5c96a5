"""Step 5: the whole plan with its reasons; change what you like, save it, start it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from tui_ft.errors import TuiFtError
from tui_ft.text import percent, size

from . import keys, plan_text, plan_work, price
from .ink import MUTED, WARN, hang, ink, join, short_path, stack
from .page import Page, in_thread
from .pick_data import check_data, know_model
from .widgets.choice import Choice, Item
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.planning.exact import Tracing
    from tui_ft.planning.knobs import Knob
    from tui_ft.planning.plan import Plan

    from .draft import Draft


class PlanPage(Page):
    """Costs above, choices below; every edit makes the plan anew."""

    place = "plan"
    BINDINGS = keys.bindings("plan")

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[plan_text.Choice] = []
        self._knobs: dict[str, Knob] = {}
        self._tracing: Tracing | None = None

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
            self._look_further(self.draft.plan)

    def on_unmount(self) -> None:
        """Nobody waits for the exact check any more."""
        self._stop_tracing()

    # Making

    async def _make(self, before: Draft | None = None) -> None:
        """Find out what a resume has forgotten, then plan. An edit that cannot be goes back to `before`."""
        try:
            await self._know()
            draft, home = self.draft, self.shell.home
            self.progress("Making the plan")
            plan = await in_thread(lambda: plan_work.make_plan(draft, home))
        except TuiFtError:
            if before is not None:
                self.shell.set_draft(before)
            raise
        old = {row.key: row.value for row in self._rows}
        self.shell.change(plan=plan)
        self._show(plan, old)
        self._look_further(plan)

    async def _know(self) -> None:
        if self.draft.hardware is None:
            from tui_ft.hardware.detect import detect

            home = self.shell.home
            price.learn(self.shell, await in_thread(lambda: detect(home)))
        await know_model(self.shell)
        if self.draft.report is None:
            self.shell.change(report=await check_data(self.draft, self.progress))

    # What takes longer than the plan: every knob's effect, and the memory counted on the real model

    def _look_further(self, plan: Plan) -> None:
        self._knobs = {}
        self._stop_tracing()
        self.run_worker(self._find_knobs(plan), group="knobs", exclusive=True, exit_on_error=False)
        if plan.device == "cuda" and not plan.memory.verified:
            self.run_worker(self._verify(plan), group="verify", exclusive=True, exit_on_error=False)

    async def _find_knobs(self, plan: Plan) -> None:
        draft, home = self.draft, self.shell.home
        found = await in_thread(lambda: plan_work.find_knobs(draft, home))
        if self.draft.plan is plan:
            self._knobs = {knob.key: knob for knob in found}
            self._tell_why()

    async def _verify(self, plan: Plan) -> None:
        """Replace the formula's memory by that of the real model, when it can be built."""
        config = self.draft.facts.config if self.draft.facts is not None else None
        if not config:
            return

        def keep(tracing: Tracing) -> None:
            self._tracing = tracing

        def verify() -> Plan:
            from tui_ft.planning import exact

            return exact.verify(plan, config, started=keep)

        try:
            verified = await in_thread(verify)
        except TuiFtError:
            return  # the formula's figure stands, with its wider band
        if self.draft.plan is plan:
            self.shell.change(plan=verified)
            self._show_summary(verified)
            self.redraw()

    def _stop_tracing(self) -> None:
        if self._tracing is not None:
            self._tracing.stop()
            self._tracing = None

    # Showing

    def _show_summary(self, plan: Plan) -> None:
        self.query_one("#summary", Lines).show(lambda width: _summary(plan, width))

    def _show(self, plan: Plan, before: dict[str, str]) -> None:
        self._rows = plan_text.choices(plan)
        self._show_summary(plan)
        lines = plan_text.table(self._rows, before)
        items = [Item(row.key, line) for row, line in zip(self._rows, lines, strict=True)]
        self.query_one(Choice).fill(items)
        self.refresh_footer()
        self.redraw()

    @on(Choice.Moved)
    def _tell_why(self) -> None:
        """The reason of the marked value, and what its neighbours would do."""
        item = self.query_one(Choice).current
        row = next((row for row in self._rows if item is not None and row.key == item.id), None)
        if row is None:
            return
        knob, tall = self._knobs.get(row.key), self.has_class("-tall")

        def lines(width: int) -> list[Content]:
            from .plan_ways import turn_lines

            why = plan_text.why_lines(row, width)
            return [*(why if tall else why[:1]), *turn_lines(knob, width, all_of_them=tall)]

        self.query_one("#why", Lines).show(lines)

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
        from .plan_edit import choose_option

        chosen = await choose_option(self.shell, {row.key: row.value for row in self._rows})
        if chosen is not None:
            await self._edit(chosen)

    async def _edit(self, key: str) -> None:
        from .plan_edit import ask_value

        shown = next((row.value for row in self._rows if row.key == key), "")
        changes = await ask_value(self.shell, key, shown, self._try)
        if changes is not None:
            self._change(changes)

    def action_turn(self, direction: int) -> None:
        """The next smaller or larger value of the marked setting; the rest follows."""
        item = self.query_one(Choice).current
        knob = self._knobs.get(item.id) if item is not None else None
        turn = knob.beside(direction) if knob is not None else None
        if knob is None:
            self.shell.say("This one is changed with e." if self._knobs else "One moment: still counting.")
        elif turn is None:
            self.shell.say("There is no sensible value beyond this one; e takes any.")
        elif turn.problem:
            self.shell.say(f"{turn.text}: {turn.problem}.", warning=True)
        else:
            self._change(turn.changes)

    def _try(self, key: str, value: Any) -> None:
        """Raises InputError when the recipe could not hold this value."""
        self.draft.with_values({key: value}).to_recipe()

    def _change(self, changes: dict[str, Any]) -> None:
        before = self.draft
        self.shell.set_draft(before.with_values(changes))
        # A limit or a split is judged on the rows; everything else leaves their report as it is.
        if not any(key.startswith(("data.", "model.")) for key in changes):
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

    # Other ways, and what they cost

    def action_ways(self) -> None:
        """Other plans beside this one; the chosen one takes its place."""
        if self.draft.plan is not None:
            self.run_worker(self._ways(self.draft.plan), group="dialog", exit_on_error=False)

    async def _ways(self, plan: Plan) -> None:
        from .dialogs import Select
        from .plan_ways import ways

        other = {str(number): way for number, way in enumerate(plan.alternatives)}
        items = [Item("", "keep this plan"), *(Item(n, f"take: {w.title}") for n, w in other.items())]
        table = stack(ways(plan, 90 if self.has_class("-wide") else 70))
        chosen = await self.shell.push_screen_wait(
            Select("Other ways to do it", items, text=table, current="", marks=False, wide=True)
        )
        if chosen:
            self._change(other[chosen].changes)

    def action_relief(self) -> None:
        """The cheapest steps that make the plan fit."""
        plan = self.draft.plan
        if plan is None or not plan.relief:
            self.shell.say("It fits as it is." if plan is not None else "There is no plan yet.")
            return
        self.run_worker(self._relieve(plan), group="dialog", exit_on_error=False)

    async def _relieve(self, plan: Plan) -> None:
        from .dialogs import Select

        items = [Item(str(number), step.words) for number, step in enumerate(plan.relief)]
        text = "Each of these was tried: with it, the plan fits. The cheapest comes first."
        chosen = await self.shell.push_screen_wait(
            Select("Make it fit", items, text=text, marks=False, wide=True)
        )
        if chosen is not None:
            self._change(plan.relief[int(chosen)].changes)

    def action_bill(self) -> None:
        """Time, money and disk by part."""
        from .dialogs import Reader
        from .plan_ways import bill

        plan = self.draft.plan
        if plan is not None:
            self.shell.push_screen(Reader("What it costs", lambda width: bill(plan, width)))

    def action_price(self) -> None:
        """Say what an hour costs."""
        price.ask(self.shell, lambda: self.start(self._make(), "Working it out anew"))

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """While it does not fit, the way out takes the place of the other ways."""
        shown = super().footer_keys()
        plan = self.draft.plan
        if plan is None or not plan.relief:
            return shown
        relief = next(key for key in keys.PLACES["plan"] if key.id == "plan.relief")
        return tuple(replace(relief, footer=True) if key.id == "plan.ways" else key for key in shown)

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
        elif self.draft.plan.fits == "wont_fit":
            self.notice.warn("This plan does not fit into memory, so it is not started.", "f shows ways out.")
        else:
            self.start(self._start(), "Starting the run", whole=True)

    async def _start(self) -> None:
        draft, home = self.draft, self.shell.home

        def fetching(done: int, total: int) -> None:
            share = f", {percent(done / total)}" if total else ""
            self.progress(f"Fetching the model's weights: {size(done)} of {size(total)}{share}")

        run = await in_thread(lambda: plan_work.start_run(draft, home, fetching))
        self.shell.draft = self.draft.with_run(run)
        self.shell.finish_step(4, "train")


def _summary(plan: Plan, width: int) -> list[Content]:
    lines = plan_text.summary(plan, width)
    for warning in plan.warnings:
        lines += hang(ink("! ", WARN), warning, width)
    legend = join(ink("▪", "$accent"), ink(" yours   ▫ derived", MUTED))
    return [*lines, Content(" " * max(0, width - legend.cell_length)) + legend]
