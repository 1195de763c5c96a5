"""Step 3: the model to start from: choosing it, and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from tui_ft.text import parameters, size

from . import keys
from .ink import GOOD, MUTED, STRONG, WARN, columns, hang, ink, join, mark, stack
from .ink import facts as fact_rows
from .page import Page, in_thread
from .widgets.choice import Item
from .widgets.finder import Finder
from .widgets.lines import Lines, Prose

if TYPE_CHECKING:
    from tui_ft.models.facts import ModelFacts
    from tui_ft.settings import Home


@dataclass(frozen=True, slots=True)
class Offer:
    """A model one can choose."""

    id: str
    parameters: str
    licence: str
    where: str  # "on this machine", "1.1 GiB to fetch"
    here: bool
    help: str


class PickModelPage(Page):
    """A search field over the models on this machine and the suggestions."""

    place = "pick-model"
    BINDINGS = keys.bindings("pick-model")

    def __init__(self) -> None:
        super().__init__()
        self._offers: Sequence[Offer] = ()

    def body(self) -> ComposeResult:
        """Question, field, list, help for the marked line."""
        yield Prose(
            stack(
                [
                    ink("Which model do you start from?", STRONG),
                    ink("Type to search; or type any hub id (owner/name) or the path of a folder.", MUTED),
                    "",
                ]
            ),
            id="question",
        )
        yield Finder(text="", hint="search, hub id, or folder", id="models")
        yield Prose(id="help")

    def command(self) -> str:
        """The same on the command line."""
        return "tui-ft fit MODEL"

    def on_mount(self) -> None:
        """Look which models are here."""
        self.query_one("#body").add_class("-still")
        self.start(self._list(), "Looking for models on this machine")

    async def _list(self) -> None:
        home = self.shell.home
        self._offers = await in_thread(lambda: offers(home))
        self._filter(self.query_one(Finder).text)

    @on(Finder.Typed)
    def _typed(self, event: Finder.Typed) -> None:
        self.notice.clear()
        self._filter(event.text)

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        found = [offer for offer in self._offers if all(w in offer.id.casefold() for w in words)]
        lines = columns(
            [
                [
                    join(ink("✓ ", GOOD) if offer.here else "  ", ink(offer.id.rpartition("/")[2], STRONG)),
                    ink(offer.parameters),
                    ink(offer.licence, MUTED),
                    ink(offer.where, MUTED),
                ]
                for offer in found
            ],
            align="lr",
        )
        items = [Item(offer.id, line, help=offer.help) for offer, line in zip(found, lines, strict=True)]
        if text.strip() and not any(offer.id.casefold() == text.strip().casefold() for offer in found):
            asked = join("  ", ink(text.strip(), STRONG), ink("   look it up by this name", MUTED))
            named = Item(text.strip(), asked, help="A folder on this machine, or a model of the hub.")
            is_path = text.strip().startswith(("/", ".", "~"))
            items = [named, *items] if is_path else [*items, named]
        self.query_one(Finder).offer(items, current=self.draft.model_id if not text else items[0].id)

    @on(Finder.Marked)
    def _marked(self, event: Finder.Marked) -> None:
        self.query_one("#help", Prose).show(stack([event.item.id, ink(event.item.help, MUTED)]))

    @on(Finder.Used)
    def _used(self, event: Finder.Used) -> None:
        chosen = event.item.id if event.item is not None else event.text
        if chosen:
            self.start(self._resolve(chosen), f"Looking at {chosen}")

    def action_use(self) -> None:
        """Enter while the field has no focus."""
        item = self.query_one(Finder).item
        if item is not None:
            self._used(Finder.Used("", item))

    def action_move(self, by: int) -> None:
        """The model before or after."""
        self.query_one(Finder).move(by)

    async def _resolve(self, model_id: str) -> None:
        facts = await look_up(self.shell.home, model_id, "")
        if facts.needs_remote_code and not await self._trusts(facts):
            return
        changes = {"model.id": model_id, "model.trust_remote_code": facts.needs_remote_code or None}
        if model_id != self.draft.model_id:
            changes["model.revision"] = None
            self.shell.draft = self.draft.with_values(changes)
        self.shell.change(facts=facts)
        self.shell.open("model")

    async def _trusts(self, facts: ModelFacts) -> bool:
        from .dialogs import Confirm

        trusted = await self.shell.push_screen_wait(
            Confirm(
                "This model brings its own Python code",
                f"{facts.id} only works with code that comes with it. It would run on this machine with "
                "your rights. Read it first; go on only when you trust its authors.",
                yes="I trust its authors: run their code",
                no="Choose another model",
            )
        )
        return bool(trusted)


class ModelPage(Page):
    """What is known about the chosen model."""

    place = "model"
    BINDINGS = keys.bindings("model")

    def body(self) -> ComposeResult:
        """The facts as text."""
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        return f"tui-ft fit {self.draft.model_id}"

    def on_mount(self) -> None:
        """Show the facts; find them out after a resume."""
        self.focus_body()
        if self.draft.facts is None:
            self.start(self._look(), f"Looking at {self.draft.model_id}")
        else:
            self._show(self.draft.facts)

    async def _look(self) -> None:
        facts = await look_up(
            self.shell.home, self.draft.model_id, str(self.draft.value("model.revision") or "")
        )
        self.shell.change(facts=facts)
        self._show(facts)

    def _show(self, facts: ModelFacts) -> None:
        self.query_one("#facts", Lines).show(lambda width: describe(facts, width))

    def action_next(self) -> None:
        """On to the data."""
        if self.draft.facts is None:
            self.shell.say("The model could not be read yet; c chooses another.")
            return
        self.shell.finish_step(2, "data" if self.draft.data_paths else "pick-data")

    def action_change(self) -> None:
        """Back to the list."""
        self.shell.open("pick-model")

    def action_template(self) -> None:
        """The chat template, as it is."""
        facts = self.draft.facts
        if facts is None or not facts.chat_template:
            self.shell.say("This model has no chat template.")
            return
        from .dialogs import Reader

        self.shell.push_screen(Reader("Chat template", facts.chat_template))


async def look_up(home: Home, model_id: str, revision: str) -> ModelFacts:
    """The facts, found out beside the interface."""

    def find() -> ModelFacts:
        from tui_ft.models.resolve import resolve

        return resolve(model_id, revision, home=home)

    return await in_thread(find)


def offers(home: Home) -> list[Offer]:
    """Models on this machine first, then the suggestions by size."""
    from tui_ft.models import catalogue, smollm2
    from tui_ft.models.cached import local_models

    local = local_models(home)
    here = {model.id.casefold() for model in local}
    found = []
    for model in local:
        listed = next((s for s in catalogue.SUGGESTIONS if model.id in (s.id, s.name)), None)
        found.append(
            Offer(
                model.id,
                parameters(listed.parameters) if listed else "",
                listed.licence if listed else "",
                f"on this machine, {size(model.weight_bytes)}",
                True,
                listed.good_for if listed else str(model.folder),
            )
        )
    for listed in catalogue.SUGGESTIONS:
        if {listed.id.casefold(), listed.name.casefold()} & here:
            continue
        built_in = smollm2.names_it(listed.id) and smollm2.package_file() is not None
        fetch = "built in" if built_in else f"{size(listed.parameters * 2)} to fetch"
        gate = " Its licence must be accepted on the hub first." if listed.gated else ""
        found.append(
            Offer(
                listed.id,
                parameters(listed.parameters),
                listed.licence,
                fetch + (", gated" if listed.gated else ""),
                built_in,
                listed.good_for + gate,
            )
        )
    # What can start at once comes first.
    return sorted(found, key=lambda offer: not offer.here)


_SOURCES = {
    "folder": "a folder on this machine",
    "cache": "the hub cache on this machine",
    "hub": "the hub; its weights are fetched when the run starts",
    "built-in": "prepared by tui-ft on this machine",
    "catalogue": "tui-ft's own list; the hub could not be asked",
}


def describe(facts: ModelFacts, width: int) -> list[Content]:
    """The page as text."""
    exact = "" if facts.parameters_exact else ", counted from its config"
    rows: list[tuple[str, Content | str]] = [
        ("size", f"{parameters(facts.parameters)} parameters{exact}"),
        ("weights", _weights(facts)),
        ("built as", f"{facts.architecture}{_shape(facts)}"),
        (
            "reads",
            f"{facts.context_length:,} tokens at once" if facts.context_length else "an unknown length",
        ),
        ("template", _template(facts)),
        ("licence", _licence(facts)),
        ("found in", _SOURCES[facts.source]),
    ]
    if facts.folder is not None:
        rows.append(("", ink(str(facts.folder), MUTED)))
    lines = [Content(""), ink(facts.id, STRONG), Content(""), *fact_rows(rows, width)]
    warnings = []
    if facts.needs_remote_code:
        warnings.append("It runs Python code that comes with it; you said that you trust its authors.")
    if facts.gated:
        warnings.append(
            "It is gated: the hub gives it only to those who accepted its licence. Do that at "
            f"huggingface.co/{facts.id}, then `hf auth login` on this machine."
        )
    for warning in warnings:
        lines += [Content(""), *hang(ink("! ", WARN), warning, width)]
    for note in facts.notes:
        lines += [Content(""), *hang(join(mark("info"), " "), note, width)]
    return lines


def _weights(facts: ModelFacts) -> str:
    stored = f"{size(facts.weight_bytes)}, {facts.dtype}" if facts.dtype else size(facts.weight_bytes)
    quantized = f", quantised with {facts.quantized}" if facts.quantized else ""
    here = ", on this machine" if facts.has_weights else ", not on this machine yet"
    return stored + quantized + here


def _shape(facts: ModelFacts) -> str:
    if facts.dims is None:
        return ""
    d = facts.dims
    experts = f", {d.experts} experts, {d.experts_per_token} at a time" if d.experts else ""
    return f", {d.layers} layers, width {d.hidden:,}, vocabulary {d.vocab:,}{experts}"


def _template(facts: ModelFacts) -> Content:
    if facts.chat_template:
        return join("has a chat template", ink("   t reads it", MUTED))
    return join("none: a base model. ", ink("A plain one is used for conversations.", MUTED))


def _licence(facts: ModelFacts) -> Content:
    if facts.licence is None:
        return ink("not stated; look before you publish anything", "$warn")
    return ink(facts.licence)
