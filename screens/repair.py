"""Repairing the data: what would change, before and after; the chosen repairs go into a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_ft.data.fixes import Diff, FixReport, Offer
from tui_ft.text import percent

from .dialogs import Dialog
from .ink import BAD, GOOD, MUTED, hang, ink
from .widgets.choice import Choice, Item
from .widgets.lines import Lines, Prose

if TYPE_CHECKING:
    from tui_ft.data.check import Progress

    from .draft import Draft

Say = Callable[[str], None]


class Repair(Dialog[tuple[str, ...]]):
    """The repairs to choose from; safe ones are marked. Answers with the ids of those to make."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Write the copy", show=False),
        Binding("space", "mark", "Mark", show=False),
    ]
    hint = (("space", "mark"), ("enter", "write a copy with the marked ones"), ("esc", "leave it"))

    def __init__(self, offers: Sequence[Offer]) -> None:
        super().__init__("What can be repaired")
        self.add_class("-reading")
        self._offers = {offer.id: offer for offer in offers}

    def content(self) -> ComposeResult:
        """The repairs, and the marked one in an example."""
        yield Prose(
            ink("Marked ones lose nothing that could be meant. The others are yours to judge.", MUTED)
        )
        items = [Item(offer.id, offer.does) for offer in self._offers.values()]
        safe = [offer.id for offer in self._offers.values() if offer.safe]
        yield Choice(items, several=True, chosen=safe, id="repairs")
        yield Lines(id="difference")

    @on(Choice.Moved)
    def _tell(self, event: Choice.Moved) -> None:
        offer = self._offers[event.item.id]
        self.query_one("#difference", Lines).show(lambda width: difference(offer, width))

    def action_mark(self) -> None:
        """Mark or unmark the line."""
        self.query_one(Choice).toggle()

    def action_take(self) -> None:
        """Answer with what is marked."""
        self.dismiss(tuple(self.query_one(Choice).chosen))


def difference(offer: Offer, width: int) -> list[Content]:
    """Before and after of the first rows."""
    lines = [Content("")]
    for example in offer.examples[:2]:
        lines.append(ink(_place(example), MUTED))
        lines += hang(ink("- ", BAD), ink(example.before), width)[:2]
        after = ink("the row is left out", MUTED) if example.after is None else ink(example.after)
        lines += hang(ink("+ ", GOOD), after, width)[:2]
    return lines


def _place(example: Diff) -> str:
    field = f", {example.field}" if example.field else ""
    return f"{Path(example.file).name}:{example.line}{field}"


def plan(draft: Draft, say: Say) -> FixReport:
    """What repairs would do, in a thread. Raises TuiFtError."""
    from tui_ft.data.fix import plan_fixes

    return plan_fixes(**_given(draft, say, ignore=()))


def apply(draft: Draft, out: Path, chosen: Sequence[str], say: Say) -> FixReport:
    """Write the copy with the chosen repairs, in a thread. Raises TuiFtError."""
    from tui_ft.data.fix import apply_fixes
    from tui_ft.data.fixes import FIXES

    unwanted = [fix.id for fix in FIXES.values() if fix.safe and fix.id not in chosen]
    yes = [name for name in chosen if not FIXES[name].safe]
    return apply_fixes(out=out.expanduser().absolute(), yes=yes, **_given(draft, say, ignore=unwanted))


def suggested(draft: Draft) -> Path:
    """Where the copy could be written: beside the first file."""
    first = Path(draft.data_paths[0].removeprefix("hub:")).expanduser()
    if draft.data_paths[0].startswith("hub:"):
        first = Path.cwd() / first.name
    stem = first.name.partition(".")[0]
    free = (first.with_name(f"{stem}.repaired{number}.jsonl") for number in ("", *range(2, 100)))
    return next(path for path in free if not path.exists())


def _given(draft: Draft, say: Say, *, ignore: Sequence[str]) -> dict[str, Any]:
    from tui_ft.models.tokenizer import ChatTokenizer
    from tui_ft.recipe import Data

    data = Data.model_validate(draft.recipe["data"])
    folder = draft.facts.folder if draft.facts is not None else None

    def progress(done: Progress) -> None:
        share = done.done_bytes / done.total_bytes if done.total_bytes else 1.0
        say(f"Reading the rows: {done.rows:,}, {percent(share)}")

    return {
        "data": data.model_copy(update={"ignore": list(dict.fromkeys([*data.ignore, *ignore]))}),
        "base": Path.cwd(),
        "tokenizer": ChatTokenizer.load(folder) if folder is not None else None,
        "seq_len": draft.value("train.seq_len"),
        "progress": progress,
    }
