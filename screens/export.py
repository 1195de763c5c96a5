"""Step 8: take the model along. Each format is checked against the model that was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from tui_ft.text import excerpt, size

from . import keys
from .draft import Draft
from .evaluate import broken, working
from .ink import MUTED, STRONG, columns, hang, ink, join, mark, prose, stack
from .run_page import RunPage
from .widgets.choice import Choice, Item
from .widgets.lines import Lines

if TYPE_CHECKING:
    from tui_ft.runs.folder import RunFolder
    from tui_ft.runs.status import Reality
    from tui_ft.runs.view import RunView

_FORMATS = {
    "merged": "one folder with the whole model, for transformers, vLLM and everything else",
    "gguf:q4_k_m": "one small file for llama.cpp and Ollama; a little less exact",
    "gguf:q8_0": "one file for llama.cpp and Ollama, twice as large, nearly exact",
    "gguf:f16": "one file for llama.cpp, four times as large, exact",
    "ollama": "a GGUF with the Modelfile that Ollama needs",
    "vllm": "the merged folder with the line that serves it",
    "hub": "the merged folder on the Hugging Face hub",
}


@dataclass(frozen=True, slots=True)
class Made:
    """An export that is there."""

    target: str
    path: Path
    size_bytes: int
    passed: bool | None  # None: there is no check of it
    measured: str
    complaint: str
    files: tuple[str, ...]


class ExportPage(RunPage):
    """Choose formats, follow the job, see what passed."""

    place = "export"
    BINDINGS = keys.bindings("export")

    def __init__(self) -> None:
        super().__init__()
        self._made: list[Made] = []
        self._impossible: dict[str, str] | None = None
        self._job: Reality | None = None

    def body(self) -> ComposeResult:
        """The formats, then what is made or being made."""
        yield Lines([ink("In which form do you take the model along?", STRONG), Content("")], id="question")
        yield Choice([Item(name, name) for name in _FORMATS], several=True, chosen=["merged"], id="formats")
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        chosen = self.query_one(Choice).chosen if self.query(Choice) else ()
        flags = " ".join(f"--to {name}" for name in chosen) or "--to merged"
        return f"tui-ft export {self.draft.run} {flags}"

    def on_mount(self) -> None:
        """What the recipe asks for is marked already."""
        wanted = self.draft.value("export.to")
        if isinstance(wanted, list):
            self._fill(wanted)
        self.query_one(Choice).focus()

    def _fill(self, chosen: Sequence[str]) -> None:
        closed = self._impossible or {}
        lines = columns(
            [
                [ink(name, "" if name not in closed else MUTED), ink(closed.get(name) or words, MUTED)]
                for name, words in _FORMATS.items()
            ]
        )
        items = [
            Item(name, line, closed=closed.get(name, "")) for name, line in zip(_FORMATS, lines, strict=True)
        ]
        choice = self.query_one(Choice)
        current = choice.current.id if choice.current else ""
        choice.restart(items, several=True, current=current, chosen=[c for c in chosen if c not in closed])

    def read_more(self, folder: RunFolder) -> None:
        """What is made, and once, what cannot be made here."""
        self._job = self.reality("export")
        self._made = made(folder.exports)
        if self._impossible is None:
            closed = impossible(folder)
            self._impossible = closed
            self.app.call_from_thread(lambda: self._fill(self.query_one(Choice).chosen))

    def show_run(self, view: RunView) -> None:
        """Draw progress and results."""
        job, found = self._job, self._made
        at_work = job is not None and job.alive
        self.query_one(Choice).display = not at_work
        self.query_one("#question").display = not at_work
        facts = self.query_one("#facts", Lines)

        def lines(width: int) -> list[Content]:
            if job is not None and at_work:
                return [*working(job, view, "Exporting and checking", width), *results(found, width)]
            failed = job is not None and job.state in ("failed", "lost")
            first = broken(job, "The export", width) if failed and job is not None else []
            return [*first, *results(found, width)]

        facts.show(lines)
        self.refresh_footer()

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """While it works there is nothing to choose; afterwards there is something to finish."""
        if self._job is not None and self._job.alive:
            return tuple(k for k in super().footer_keys() if k.id not in ("export.export", "export.mark"))
        if not self._made:
            return super().footer_keys()
        *shown, card = (key for key in super().footer_keys() if key.id != "export.log")
        later = [key for key in keys.PLACES["export"] if key.id in ("export.howto", "export.new")]
        return (*shown, *(replace(key, footer=True) for key in later), card)

    @on(Choice.Picked)
    def _clicked(self) -> None:
        self.action_mark()

    def action_mark(self) -> None:
        """Mark or unmark the format under the cursor; a closed one says why."""
        choice = self.query_one(Choice)
        if choice.current is not None and choice.current.closed:
            self.shell.say(choice.current.closed)
            return
        choice.toggle()
        self.redraw()

    def action_export(self) -> None:
        """Make what is marked."""
        chosen = self.query_one(Choice).chosen
        if self._job is not None and self._job.alive:
            self.shell.say("The export is still at work.")
        elif not chosen:
            self.shell.say("Mark at least one format with the space key.")
        else:
            self.launch(lambda folder: export(folder, chosen), "Starting the export")

    def action_howto(self) -> None:
        """What each export's own README says about using it."""
        texts = [
            stack([ink(item.target, STRONG), prose(text), ""])
            for item in self._made
            if item.passed and (text := _readme(item.path))
        ]
        if not texts:
            self.shell.say("There is nothing to use yet.")
            return
        from .dialogs import Reader

        self.shell.push_screen(Reader("How to use what was exported", stack(texts)))

    def action_new(self) -> None:
        """A new recipe; this run stays in the list of runs."""
        self.shell.change(finished=3)
        self.shell.begin(Draft(run=self.draft.run, finished=3))


def export(folder: RunFolder, chosen: Sequence[str]) -> None:
    """Start the export, in a thread. Raises TuiFtError for what cannot be done here."""
    from tui_ft.export.targets import check, parse
    from tui_ft.runs import launch

    wanted = parse(chosen)
    check(wanted, folder)
    launch.start(folder, "export", [word for target in wanted for word in ("--to", target)])


def impossible(folder: RunFolder) -> dict[str, str]:
    """Formats that this machine cannot make, each with the reason."""
    from tui_ft.errors import TuiFtError
    from tui_ft.export.targets import TARGETS, check

    closed: dict[str, str] = {}
    for target in TARGETS:
        try:
            check([target], folder)
        except TuiFtError as error:
            closed[target] = f"{error.what}. {error.fix}"
    return closed


def made(exports: Path) -> list[Made]:
    """What lies in the exports folder, with the result of its check; what failed is set aside in .failed."""
    found = [_made(folder) for folder in _folders(exports)]
    good = {item.target for item in found}
    return found + [
        item for folder in _folders(exports / ".failed") if (item := _made(folder)).target not in good
    ]


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _made(folder: Path) -> Made:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    check: Mapping[str, Any] = {}
    try:
        document = json.loads((folder / "check.json").read_text(encoding="utf-8"))
        check = document if isinstance(document, dict) else {}
    except (OSError, ValueError):
        check = {}
    measures = [m for m in check.get("measures", []) if isinstance(m, dict)]
    failed = next((m for m in measures if not m.get("passed")), None)
    return Made(
        target=excerpt(str(check.get("target", folder.name)), 30),
        path=folder,
        size_bytes=sum(path.stat().st_size for path in files),
        passed=check.get("passed") if isinstance(check.get("passed"), bool) else None,
        measured=", ".join(_measure(m) for m in measures),
        complaint=excerpt(str(failed.get("complaint", "")), 200) if failed else "",
        files=tuple(path.name for path in files),
    )


def _measure(measure: Mapping[str, Any]) -> str:
    value = measure.get("value")
    shown = f"{value:.3g}" if isinstance(value, int | float) else "not a number"
    return excerpt(f"{measure.get('name', '')} {shown}", 60)


def results(found: Sequence[Made], width: int) -> list[Content]:
    """What is made: where, how it was checked, and how to use it."""
    lines: list[Content] = []
    for item in found:
        kind = "info" if item.passed is None else "good" if item.passed else "error"
        verdict = {
            "info": "not checked",
            "good": "checked: answers like the trained model",
            "error": "its check failed; do not use it",
        }[kind]
        head = join(ink(item.target, STRONG), ink(f"   {size(item.size_bytes)}   "), ink(verdict))
        lines += [Content(""), *hang(join(mark(kind), " "), head, width)]
        if item.complaint:
            lines += hang("  ", prose(item.complaint), width)
        elif item.measured:
            lines += hang("  ", ink(item.measured, MUTED), width)
        lines += hang("  ", ink(str(item.path), MUTED), width)
        command = usage(item)
        if command and item.passed:
            lines += hang(ink("  try   ", MUTED), ink(command), width)
    return lines


def _readme(folder: Path) -> str:
    try:
        return (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def usage(item: Made) -> str:
    """A command that uses the export; "" when there is none."""
    gguf = next((name for name in item.files if name.endswith(".gguf")), "")
    if "Modelfile" in item.files:
        return f"ollama create {item.path.parent.parent.name.rsplit('-', 3)[0]} -f {item.path / 'Modelfile'}"
    if gguf:
        return f"llama-cli -m {item.path / gguf}"
    if item.target == "vllm":
        return f"vllm serve {item.path}"
    return ""
