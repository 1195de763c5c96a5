"""Every key, once: the bindings, the footers, the key card and docs/keys.md are drawn from this table.

A place is what is on the screen. Ids are public: `keys.toml` in the home folder re-maps them. No ctrl-b,
-s, -z, -h, -m, -i or -j: multiplexers and terminals keep those for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Key:
    """One key (or several for the same thing) in one place. `footer` keys are shown at all times."""

    id: str
    keys: str  # as Textual names them, comma separated
    label: str  # the footer's word
    help: str  # the key card's sentence
    action: str
    footer: bool = True
    main: bool = False  # the thing one usually does here; drawn first and strongest

    @property
    def shown(self) -> str:
        """The keys as people write them."""
        return " ".join(_NAMES.get(key, key.replace("+", "-")) for key in self.keys.split(",")[:2])


_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "escape": "esc",
    "question_mark": "?",
    "slash": "/",
    "pageup": "page-up",
    "pagedown": "page-down",
    "full_stop": ".",
    "comma": ",",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "plus": "+",
    "minus": "-",
}


def _main(place: str, name: str, label: str, help: str, action: str, keys: str = "enter") -> Key:  # noqa: A002
    return Key(f"{place}.{name}", keys, label, help, action, main=True)


def _back(place: str, help: str = "One level back; nothing is lost.") -> Key:  # noqa: A002
    return Key(f"{place}.back", "escape", "back", help, "back")


EVERYWHERE = (
    Key("help", "question_mark,f1", "keys", "All keys of this place, and what they do.", "keys"),
    Key("jump", "g", "steps", "Go to any of the eight steps.", "jump", footer=False),
    Key("quit", "ctrl+q,ctrl+c", "quit", "Leave. The place is kept; a run goes on.", "quit", footer=False),
    Key("palette", "ctrl+p", "commands", "Find any action by its name.", "command_palette", footer=False),
    Key(
        "theme",
        "ctrl+t",
        "light or dark",
        "Switch between the light and the dark colours.",
        "theme",
        footer=False,
    ),
    Key("scroll-up", "pageup", "", "Scroll up.", "scroll(-1)", footer=False),
    Key("scroll-down", "pagedown", "", "Scroll down.", "scroll(1)", footer=False),
)

PLACES: dict[str, tuple[Key, ...]] = {
    "welcome": (
        _main("welcome", "open", "open", "Open what the cursor is on.", "open"),
        Key("welcome.runs", "r", "runs", "Runs on this machine, live and past.", "runs"),
    ),
    "question": (
        _main("question", "next", "next", "Answer with the marked line and go on.", "next"),
        Key("question.mark", "space", "mark", "Mark or unmark a line where several may apply.", "mark", footer=False),
        _back("question", "The question before."),
        Key("question.skip", "s", "skip", "Leave this question open.", "skip"),
        Key("question.end", "v", "verdict", "See the advice with the answers so far.", "verdict"),
    ),
    "verdict": (
        _main("verdict", "next", "go on", "Go on to the hardware.", "next"),
        _back("verdict", "The last question."),
        Key("verdict.again", "r", "answer again", "Answer the questions from the start.", "again"),
        Key("verdict.save", "w", "write down", "Write the advice to a text file.", "save"),
    ),
    "hardware": (
        _main("hardware", "next", "next", "Go on to the model.", "next"),
        _back("hardware"),
        Key("hardware.price", "p", "price", "Say what this machine costs per hour.", "price"),
        Key("hardware.look", "r", "look again", "Look at the machine again.", "look"),
    ),
    "pick-model": (
        _main("pick-model", "use", "use", "Use the marked model, or what was typed.", "use"),
        Key("pick-model.move", "up,down", "choose", "Move through the models.", "move", footer=True),
        _back("pick-model"),
    ),
    "model": (
        _main("model", "next", "next", "Go on to the data.", "next"),
        _back("model"),
        Key("model.change", "c", "choose another", "Choose another model.", "change"),
        Key("model.template", "t", "template", "Read the model's chat template.", "template"),
    ),
    "pick-data": (
        _main("pick-data", "use", "use", "Use the marked file, open the marked folder.", "use"),
        Key("pick-data.move", "up,down", "choose", "Move through the files.", "move"),
        Key("pick-data.complete", "tab", "complete", "Complete the path with the marked line.", "complete"),
        _back("pick-data"),
    ),
    "data": (
        _main("data", "next", "next", "Go on to the plan.", "next"),
        Key("data.preview", "p", "preview", "See one row as the model will see it.", "preview"),
        Key("data.finding", "f", "findings", "Read each finding with the rows it is about.", "findings"),
        Key("data.mapping", "m", "mapping", "Correct which column is what.", "mapping"),
        _back("data"),
        Key("data.change", "c", "choose another", "Choose other data.", "change", footer=False),
        Key("data.split", "h", "held out", "Change how many rows are held out.", "split", footer=False),
        Key("data.system", "y", "system prompt", "Put a system prompt before rows without one.", "system", footer=False),
        Key("data.ignore", "i", "accept", "Accept the findings that block, as they are.", "ignore", footer=False),
    ),
    "plan": (
        _main("plan", "start", "start", "Start the run in the background.", "start"),
        Key("plan.edit", "e", "edit", "Change the marked value; the rest is worked out anew.", "edit"),
        Key("plan.unpin", "u", "derive", "Give the marked value back to the plan.", "unpin", footer=False),
        Key("plan.more", "o", "all options", "Every option a recipe has.", "options"),
        Key("plan.why", "a", "assumptions", "What the memory figure rests on.", "assumptions", footer=False),
        Key("plan.save", "w", "save recipe", "Write the recipe to a file.", "save"),
        _back("plan"),
    ),
    "train": (
        _main("train", "go", "go on", "Close an alert; when the run has ended, go on to the comparison.", "go"),
        Key("train.pause", "p", "pause", "Save and end the process; the same key goes on later.", "pause"),
        Key("train.save", "c", "save now", "Save a checkpoint now and go on.", "save"),
        Key("train.evaluate", "e", "evaluate now", "Measure the validation loss now.", "evaluate", footer=False),
        Key("train.stop", "k", "stop and keep", "Stop and keep the best weights; asks first.", "stop"),
        Key("train.log", "l", "log", "Read the log.", "log"),
        Key("train.scale", "y", "log scale", "Switch the loss axis between linear and logarithmic.", "scale", footer=False),
        Key("train.leave", "q", "leave", "Leave; the run goes on without you.", "leave"),
        Key("train.back", "escape", "back", "Back to the list of runs; the run goes on.", "back", footer=False),
        Key("train.recipe", "r", "recipe", "Read the recipe of this run.", "recipe", footer=False),
    ),
    "evaluate": (
        _main("evaluate", "next", "go on", "Start the comparison; when it is there, go on to the export.", "next"),
        Key("evaluate.again", "r", "measure again", "Run the comparison again.", "again"),
        Key("evaluate.samples", "a", "all answers", "Read the answers side by side.", "samples"),
        _back("evaluate"),
    ),
    "export": (
        _main("export", "start", "export", "Export the marked formats and check each.", "start"),
        Key("export.mark", "space", "mark", "Mark or unmark a format.", "mark"),
        Key("export.log", "l", "log", "Read the log of the export.", "log"),
        _back("export"),
        Key("export.finish", "n", "new recipe", "Start over with a new recipe; this run is kept.", "finish", footer=False),
    ),
    "runs": (
        _main("runs", "open", "open", "Open the marked run.", "open"),
        Key("runs.recipe", "n", "new from it", "Start a new recipe from this run's.", "copy"),
        Key("runs.refresh", "r", "refresh", "Read the runs again.", "refresh", footer=False),
        _back("runs"),
    ),
    "reader": (
        _main("reader", "close", "close", "Back to where you were.", "close", keys="enter,escape"),
        Key("reader.follow", "end", "to the end", "Go to the end.", "end", footer=True),
    ),
}  # fmt: skip


_TYPING = ("pick-model", "pick-data")


def bindings(place: str) -> list[Binding]:
    """The bindings of a place, for a Screen's BINDINGS."""
    return [_binding(key) for key in PLACES[place]]


def global_bindings() -> list[Binding]:
    """The bindings that hold everywhere, for the App's BINDINGS."""
    return [_binding(key, priority=key.id == "quit") for key in EVERYWHERE]


def footer(place: str) -> tuple[Key, ...]:
    """What the footer of a place shows: its footer keys and the key card, six at most."""
    # Where one types, a question mark is a character.
    card = replace(EVERYWHERE[0], keys="f1" if place in _TYPING else "question_mark")
    return (*(key for key in PLACES[place] if key.footer), card)


def _binding(key: Key, *, priority: bool = False) -> Binding:
    return Binding(
        key.keys, key.action, key.label, tooltip=key.help, id=key.id, show=key.footer, priority=priority
    )


def reference() -> str:
    """docs/keys.md, drawn from the table."""
    lines = [
        "# Keys",
        "",
        "Drawn from `screens/keys.py`; `?` shows the same inside the program. To re-map one, put its id into",
        "`keys.toml` in the home folder (`tui-ft doctor` prints where that is):",
        "",
        "```toml",
        '"train.stop" = "k"',
        '"help" = "question_mark,f1"',
        "```",
        "",
    ]
    for place, keys in {"everywhere": EVERYWHERE, **PLACES}.items():
        lines += [f"## {TITLES[place]}", "", "| key | what it does | id |", "|---|---|---|"]
        lines += [f"| `{key.shown}` | {key.help} | `{key.id}` |" for key in keys]
        lines.append("")
    return "\n".join(lines)


TITLES = {
    "everywhere": "Everywhere",
    "welcome": "Welcome",
    "question": "1 Decide: the questions",
    "verdict": "1 Decide: the advice",
    "hardware": "2 Hardware",
    "pick-model": "3 Model: choosing",
    "model": "3 Model",
    "pick-data": "4 Data: choosing",
    "data": "4 Data",
    "plan": "5 Plan",
    "train": "6 Train",
    "evaluate": "7 Evaluate",
    "export": "8 Export",
    "runs": "Runs",
    "reader": "Reading a text",
}
