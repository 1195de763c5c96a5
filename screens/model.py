"""Step 3: what is known about the chosen model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content

from tui_ft.text import parameters, size

from . import keys
from .ink import MUTED, STRONG, WARN, hang, ink, join, mark, short_path
from .ink import facts as fact_rows
from .page import Page, in_thread
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.hardware.facts import Hardware
    from tui_ft.models.facts import ModelFacts
    from tui_ft.settings import Home


class ModelPage(Page):
    """What is known about the chosen model."""

    place = "model"
    BINDINGS = keys.bindings("model")

    def body(self) -> ComposeResult:
        """The facts as text."""
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        return f"tui-ft fit {short_path(self.draft.model_id)}"

    def on_mount(self) -> None:
        """Show the facts; find them out after a resume."""
        self.focus_body()
        if self.draft.facts is None:
            self.start(self._look(), f"Looking at {self.draft.model_id}")
        else:
            self.start(self._show(self.draft.facts), "Working out what fits")

    async def _look(self) -> None:
        facts = await look_up(
            self.shell.home, self.draft.model_id, str(self.draft.value("model.revision") or "")
        )
        self.shell.change(facts=facts)
        await self._show(facts)

    async def _show(self, facts: ModelFacts) -> None:
        """The facts at once, what fits a moment later."""
        lines = self.query_one("#facts", Lines)
        lines.show(lambda width: describe(facts, (), width))
        home, hardware = self.shell.home, self.draft.hardware
        rows = await in_thread(lambda: fit_rows(facts, hardware or look_at_machine(home)))
        lines.show(lambda width: describe(facts, rows, width))

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


def look_at_machine(home: Home) -> Hardware:
    """The hardware, in a thread."""
    from tui_ft.hardware.detect import detect

    return detect(home)


def fit_rows(facts: ModelFacts, hardware: Hardware) -> list[tuple[str, str]]:
    """What each method needs on this machine, in a thread."""
    from tui_ft.errors import TuiFtError
    from tui_ft.planning.box import of_hardware
    from tui_ft.planning.fit import fit

    try:
        table = fit(facts, box=of_hardware(hardware), seq=1024)
    except TuiFtError as error:
        return [("fits here", error.what)]
    names = {"lora": "LoRA", "qlora": "QLoRA", "full": "full"}
    words = {"safe": "fits", "tight": "tight", "wont_fit": "too large", "unknown": "unknown"}
    rows = [
        f"{names.get(plan.method, plan.method):<6} {words[plan.fits]:<10} {plan.reasons[0]}"
        for plan in table.plans
    ]
    return [("fits here" if i == 0 else "", row) for i, row in enumerate(rows)]


async def look_up(home: Home, model_id: str, revision: str) -> ModelFacts:
    """The facts, found out beside the interface."""

    def find() -> ModelFacts:
        from tui_ft.models.resolve import resolve

        return resolve(model_id, revision, home=home)

    return await in_thread(find)


_SOURCES = {
    "folder": "a folder on this machine",
    "cache": "the hub cache on this machine",
    "hub": "the hub; its weights are fetched when the run starts",
    "built-in": "prepared by tui-ft on this machine",
    "catalogue": "tui-ft's own list; the hub could not be asked",
}


def describe(facts: ModelFacts, fitting: Sequence[tuple[str, str]], width: int) -> list[Content]:
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
    rows += fitting
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
    if facts.source == "catalogue":
        return ink("unknown until the hub is asked", MUTED)
    return join("none: a base model. ", ink("A plain one is used for conversations.", MUTED))


def _licence(facts: ModelFacts) -> Content:
    if facts.licence is None:
        return ink("not stated; look before you publish anything", "$warn")
    return ink(facts.licence)
