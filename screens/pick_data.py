"""Step 4, first part: which data. A path field with completion, recent files and a look inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult

from tui_ft.errors import InputError
from tui_ft.text import percent

from . import keys
from .files import Found, candidates, first_lines, recent_data
from .ink import MUTED, STRONG, columns, ink, short_path, stack
from .page import Page, in_thread
from .widgets.choice import Item
from .widgets.finder import Finder
from .widgets.lines import Lines, Prose

if TYPE_CHECKING:
    from tui_ft.data.rows import DatasetReport

    from .draft import Draft
    from .shell import TuiFt


class PickDataPage(Page):
    """Finds a file and has it checked; only data that can be read gets further."""

    place = "pick-data"
    BINDINGS = keys.bindings("pick-data")

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Found] = {}
        self._recent: list[str] = []
        self._listed_for: str | None = None  # the text the list belongs to; a new one comes a moment later

    def body(self) -> ComposeResult:
        """Question, field, list, the first lines of the marked file."""
        yield Prose(
            stack(
                [
                    ink("Which data does the model learn from?", STRONG),
                    ink(
                        "JSON lines, JSON, CSV, Parquet or text; a folder of them; or hub:owner/name.", MUTED
                    ),
                    "",
                ]
            ),
            id="question",
        )
        yield Finder(hint="path of a file or folder", id="files")
        yield Lines(id="peek")

    def command(self) -> str:
        """The same on the command line."""
        return f"tui-ft check DATA --model {short_path(self.draft.model_id)}"

    def on_mount(self) -> None:
        """Offer the demo, recent files, and what is in this folder."""
        self.query_one("#body").add_class("-still")
        self.run_worker(self._look_for_recent(), group="recent", exit_on_error=False)

    async def _look_for_recent(self) -> None:
        home = self.shell.home
        self._recent = await in_thread(lambda: recent_data(home))
        self._offer(self.query_one(Finder).text)

    @on(Finder.Typed)
    def _typed(self, event: Finder.Typed) -> None:
        self.notice.clear()
        self._offer(event.text)

    def _offer(self, text: str) -> None:
        self.run_worker(self._list(text), group="list", exclusive=True, exit_on_error=False)

    async def _list(self, text: str) -> None:
        recent, demo = self._recent, demo_data()
        found = await in_thread(lambda: candidates(text, folder=Path.cwd(), recent=recent, demo=demo))
        self._found = {item.path: item for item in found}
        lines = columns(
            [[ink(item.label, STRONG if not item.opens else ""), ink(item.detail, MUTED)] for item in found]
        )
        items = [Item(item.path, line) for item, line in zip(found, lines, strict=True)]
        self.query_one(Finder).offer(items, current=items[0].id if items else "")
        self._listed_for = text
        if not found:
            self.query_one("#peek", Lines).show([])

    @on(Finder.Marked)
    def _marked(self, event: Finder.Marked) -> None:
        self.run_worker(self._peek(event.item.id), group="peek", exclusive=True, exit_on_error=False)

    async def _peek(self, path: str) -> None:
        lines = await in_thread(lambda: first_lines(Path(path).expanduser()))
        self.query_one("#peek", Lines).show([ink(line, MUTED) for line in lines])

    def action_move(self, by: int) -> None:
        """The line before or after."""
        self.query_one(Finder).move(by)

    def action_complete(self) -> None:
        """Put the marked line into the field."""
        finder = self.query_one(Finder)
        if finder.item is not None:
            finder.text = finder.item.id

    def action_use(self) -> None:
        """Enter while the field has no focus."""
        finder = self.query_one(Finder)
        self._used(Finder.Used(finder.text, finder.item))

    @on(Finder.Used)
    def _used(self, event: Finder.Used) -> None:
        typed = event.text
        item = event.item if self._listed_for == self.query_one(Finder).text else None
        # A path that was typed in full is meant, whatever line is marked.
        exact = bool(typed) and (Path(typed).expanduser().is_file() or typed.startswith("hub:"))
        if item is not None and not exact:
            if self._found[item.id].opens:
                self.query_one(Finder).text = item.id
                return
            typed = item.id
        if typed:
            self.start(self._check(typed), f"Reading {Path(typed).name}")

    async def _check(self, path: str) -> None:
        if not _is_text(path):
            raise InputError("the name of this file is not text", where=path, fix="Rename it.")
        absolute = path if path.startswith("hub:") else str(Path(path).expanduser().absolute())
        # What belonged to the data before (mapping, accepted findings, own splits) does not fit this one.
        stale = dict.fromkeys(f"data.{key}" for key in self.draft.recipe.get("data", {}))
        changes: dict[str, Any] = {**stale, "data.path": absolute, **demo_splits(absolute)}
        await know_model(self.shell)
        draft = self.draft.with_values(changes)
        report = await check_data(draft, self.progress)
        self.shell.draft = draft
        self.shell.change(report=report)
        self.shell.open("data")


async def know_model(shell: TuiFt) -> None:
    """After a resume the facts of the chosen model are found out again: its tokenizer counts the tokens."""
    from .model import look_up

    draft = shell.draft
    if draft.facts is None and draft.model_id:
        facts = await look_up(shell.home, draft.model_id, str(draft.value("model.revision") or ""))
        shell.change(facts=facts)


async def check_data(draft: Draft, say: Callable[[str], None]) -> DatasetReport:
    """Read and judge the data beside the interface, until it is done or nobody waits for it any more.

    Raises TuiFtError for what cannot be read at all.
    """
    left = Event()
    try:
        return await in_thread(lambda: _check(draft, say, left.is_set))
    finally:
        left.set()


def _check(draft: Draft, say: Callable[[str], None], cancelled: Callable[[], bool]) -> DatasetReport:
    from tui_ft.data.check import Progress, check
    from tui_ft.data.masks import loss_of
    from tui_ft.models.tokenizer import ChatTokenizer
    from tui_ft.recipe import Data

    data = Data.model_validate(draft.recipe["data"])
    tokenizer = None
    if draft.facts is not None and draft.facts.folder is not None:
        say("Loading the tokenizer")
        tokenizer = ChatTokenizer.load(draft.facts.folder)

    def progress(done: Progress) -> None:
        share = done.done_bytes / done.total_bytes if done.total_bytes else 1.0
        say(f"Reading the rows: {done.rows:,}, {percent(share)}")

    say("Reading the rows")
    limit = draft.value("train.seq_len")
    learned = loss_of(draft.value("method.objective") or "sft")
    return check(
        data,
        base=Path.cwd(),
        tokenizer=tokenizer,
        seq_len=limit,
        progress=progress,
        cancelled=cancelled,
        loss_on=learned,
    )


def _is_text(path: str) -> bool:
    """False for names with bytes that no character stands for; a recipe could not hold them."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def demo_data() -> str:
    """The built-in data, "" when it is not installed."""
    from importlib.resources import files

    path = Path(str(files("tui_ft.recipes").joinpath("demo", "train.jsonl")))
    return str(path) if path.is_file() else ""


def demo_splits(path: str) -> dict[str, str]:
    """The demo brings its own held-out rows."""
    if path != demo_data():
        return {}
    folder = Path(path).parent
    return {
        "data.validation_path": str(folder / "validation.jsonl"),
        "data.test_path": str(folder / "test.jsonl"),
    }
