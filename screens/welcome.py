"""The first page: what this is in three lines, and the ways in."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult

from . import keys
from .draft import Draft, from_recipe
from .ink import MUTED, STRONG, columns, ink, join, stack
from .page import Page, in_thread
from .widgets.choice import Choice, Item
from .widgets.lines import Prose

_OWN_FILE = "<file>"


class WelcomePage(Page):
    """Greets and asks how to begin."""

    place = "welcome"
    BINDINGS = keys.bindings("welcome")

    def body(self) -> ComposeResult:
        """Three lines, then the choices."""
        yield Prose(
            stack(
                [
                    "",
                    ink("Teach a language model how to answer – or find out that you need not.", STRONG),
                    "Eight steps, from the question to a tested model. Each says what it found and",
                    "what it recommends, with the reason. Nothing starts and nothing is fetched unasked.",
                    "",
                ]
            )
        )
        yield Choice(self._ways(), marks=False, id="ways")
        yield Prose("", id="help", classes="help")

    def _ways(self) -> Sequence[Item]:
        ways = [
            (
                "start",
                "Start",
                "answer a few questions, then plan a run",
                "At most 12 questions, in plain words; any of them can be skipped.",
            ),
            (
                "recipe",
                "From a recipe",
                "a file that says what to train and how",
                "A starter recipe, or a TOML file of yours.",
            ),
            (
                "demo",
                "Just show me",
                "a small real task on this machine",
                "Support tickets to JSON with a 135M model: trained, measured and exported for real.",
            ),
            ("runs", "Runs", "watch or reopen what was trained here", "Live and past runs on this machine."),
        ]
        if self.draft.recipe or self.draft.answers:
            about = " · ".join(filter(None, (self.draft.name, self.draft.model_id.rpartition("/")[2])))
            ways.insert(0, ("continue", "Go on", about or "where you left", "Exactly where you left it."))
        return [
            Item(name, join(ink(f"{title:<16}", STRONG), ink(line, MUTED)), help=long)
            for name, title, line, long in ways
        ]

    def on_mount(self) -> None:
        """The arrow keys choose."""
        self.query_one(Choice).focus()

    @on(Choice.Moved)
    def _explain(self, event: Choice.Moved) -> None:
        self.query_one("#help", Prose).show(stack(["", ink(event.item.help, MUTED)]))

    @on(Choice.Picked)
    def _clicked(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Begin the way the cursor is on."""
        way = self.query_one(Choice).current
        if way is None:
            return
        match way.id:
            case "start":
                self.shell.begin(Draft())
            case "continue":
                self.shell.resume()
            case "runs":
                self.shell.open("runs")
            case "recipe":
                self.choose_recipe()
            case "demo":
                self.start(self._demo(), "Preparing the demo")

    def action_runs(self) -> None:
        """The runs on this machine."""
        self.shell.open("runs")

    def choose_recipe(self) -> None:
        """Starter recipes, or a file of one's own."""
        self.run_worker(self._choose_recipe(), group="dialog", exit_on_error=False)

    async def _choose_recipe(self) -> None:
        from .dialogs import Ask, Select

        starters = await in_thread(starter_recipes)
        lines = columns([[ink(name, STRONG), ink(about, MUTED)] for name, about in starters])
        items = [Item(name, line) for (name, _), line in zip(starters, lines, strict=True)]
        items.append(Item(_OWN_FILE, join(ink("a file of yours", STRONG), ink("   type its path", MUTED))))
        chosen = await self.shell.push_screen_wait(
            Select("From which recipe?", items, marks=False, wide=True)
        )
        if chosen == _OWN_FILE:
            chosen = await self.shell.push_screen_wait(
                Ask(
                    "Path of the recipe", help="A TOML file, such as one that w on the plan page has written."
                )
            )
        if chosen:
            self.start(self._open(chosen), f"Reading {chosen}")

    async def _demo(self) -> None:
        """Fill the wizard with the demo's recipe."""
        await self._open("demo")

    async def _open(self, name: str) -> None:
        self.shell.begin(await in_thread(lambda: draft_from(name)))


def starter_recipes() -> list[tuple[str, str]]:
    """Name and purpose of the recipes that ship with tui-ft, in a thread."""
    from tui_ft.starter_recipes import available

    return [(starter.name, starter.title) for starter in available()]


def draft_from(name: str) -> Draft:
    """A draft from a recipe file or a starter recipe, in a thread. Raises InputError."""
    from tui_ft.pipeline import open_recipe

    opened = open_recipe(name)
    return from_recipe(opened.recipe, opened.base)
