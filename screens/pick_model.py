"""Step 3, first part: which model to start from. A search over what is here and what is suggested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from tui_ft.text import parameters, size

from . import keys
from .ink import GOOD, MUTED, STRONG, columns, ink, join, stack
from .model import look_at_machine, look_up
from .page import Page, in_thread
from .widgets.choice import Item
from .widgets.finder import Finder
from .widgets.lines import Prose

if TYPE_CHECKING:
    from tui_ft.hardware.facts import Hardware
    from tui_ft.models.catalogue import Suggestion
    from tui_ft.models.facts import ModelFacts
    from tui_ft.settings import Home

_SLOW_ON_CPU = 1_000_000_000  # parameters above which a processor takes many hours for a small data set


@dataclass(frozen=True, slots=True)
class Offer:
    """A model one can choose."""

    id: str
    parameters: str
    licence: str
    where: str  # "here", "built in", "1.1 GiB, gated"
    here: bool
    help: str
    known: Suggestion | None = None  # what its size is told by


class PickModelPage(Page):
    """A search field over the models on this machine and the suggestions."""

    place = "pick-model"
    BINDINGS = keys.bindings("pick-model")

    def __init__(self) -> None:
        super().__init__()
        self._offers: Sequence[Offer] = ()
        self._fits: dict[str, str] = {}

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
        self.run_worker(self._mark_fits(), group="fits", exit_on_error=False)

    async def _mark_fits(self) -> None:
        """What fits this machine; takes a second, so it comes after the list."""
        offered, home, hardware = self._offers, self.shell.home, self.draft.hardware
        self._fits = await in_thread(lambda: fits(offered, hardware or look_at_machine(home)))
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
                    _fit_mark(self._fits.get(offer.id, "")),
                    ink(offer.where, MUTED),
                ]
                for offer in found
            ],
            gap=2,
            widths=(0, 0, 0, 10),
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
                "here",
                True,
                listed.good_for if listed else f"{model.folder}, {size(model.weight_bytes)}",
                listed,
            )
        )
    for listed in catalogue.SUGGESTIONS:
        if {listed.id.casefold(), listed.name.casefold()} & here:
            continue
        built_in = smollm2.names_it(listed.id) and smollm2.package_file() is not None
        fetch = "built in" if built_in else size(listed.parameters * 2)
        gate = " Its licence must be accepted on the hub first." if listed.gated else ""
        found.append(
            Offer(
                listed.id,
                parameters(listed.parameters),
                listed.licence,
                fetch + (", gated" if listed.gated else ""),
                built_in,
                listed.good_for + gate,
                listed,
            )
        )
    # What can start at once comes first.
    return sorted(found, key=lambda offer: not offer.here)


def fits(offered: Sequence[Offer], hardware: Hardware) -> dict[str, str]:
    """The lightest way in which each model can be trained here, by id, in a thread."""
    from tui_ft.errors import TuiFtError
    from tui_ft.planning.box import of_hardware
    from tui_ft.planning.fit import fit

    box = of_hardware(hardware)
    found = {}
    for offer in offered:
        if offer.known is None:
            continue
        try:
            plans = {plan.method: plan.fits for plan in fit(offer.known.facts(), box=box, seq=1024).plans}
        except TuiFtError:
            continue
        safe = [name for name in ("lora", "qlora") if plans.get(name) == "safe"]
        slow = box.device == "cpu" and offer.known.parameters > _SLOW_ON_CPU
        words = {"lora": "LoRA", "qlora": "QLoRA"}
        if safe:
            found[offer.id] = f"{words[safe[0]]}, {'slow' if slow else 'fits'}"
        else:
            found[offer.id] = "tight" if "tight" in plans.values() else "too large"
    return found


def _fit_mark(words: str) -> Content:
    style = MUTED if words == "too large" else GOOD if words.endswith("fits") else "$warn"
    return ink(words, style)
