"""Every key, once: the bindings, the footers, the key card and docs/keys.md are drawn from this table.

A place is what is on the screen. Ids are public: `keys.toml` in the home folder re-maps them. No ctrl-b,
-s, -z, -h, -m, -i or -j: multiplexers and terminals keep those for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """One key (or several for the same thing) in one place."""

    id: str
    keys: str  # as Textual names them, comma separated
    label: str  # the footer's word
    help: str  # the key card's sentence; keys without one are understood
    action: str
    footer: bool = True  # shown at all times
    main: bool = False  # the thing one usually does here; drawn first and strongest
    shown_as: str = ""

    @property
    def shown(self) -> str:
        """The keys as people write them."""
        named = [_NAMES.get(key, key.replace("+", "-")) for key in self.keys.split(",")]
        return self.shown_as or " ".join(named)


_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "escape": "esc",
    "question_mark": "?",
    "slash": "/",
    "pageup": "page up",
    "pagedown": "page down",
}


def _place(place: str, *keys: Key) -> tuple[Key, ...]:
    return tuple(replace(key, id=f"{place}.{key.id}") for key in keys)


def _main(name: str, label: str, help: str, keys: str = "enter") -> Key:  # noqa: A002
    return Key(name, keys, label, help, name, main=True)


def _key(name: str, keys: str, label: str, help: str, action: str = "") -> Key:  # noqa: A002
    return Key(name, keys, label, help, action or name.replace("-", "_"))


def _more(name: str, keys: str, label: str, help: str, action: str = "") -> Key:  # noqa: A002
    """A key that is in the card and the palette, not in the footer."""
    return Key(name, keys, label, help, action or name.replace("-", "_"), footer=False)


def _back(help: str = "One level back; nothing is lost.") -> Key:  # noqa: A002
    return Key("back", "escape", "back", help, "back")


def _back_more(help: str = "One level back; nothing is lost.") -> Key:  # noqa: A002
    """Back where the footer has no room for it."""
    return replace(_back(help), footer=False)


def _moves(help: str) -> tuple[Key, Key]:  # noqa: A002
    return (
        Key("up", "up", "choose", help, "move(-1)", shown_as="↑↓"),
        Key("down", "down", "", "", "move(1)", footer=False),
    )


EVERYWHERE = (
    Key("help", "question_mark,f1", "keys", "All keys of this place, and what they do.", "keys"),
    _more("jump", "g", "steps", "Go to any of the eight steps."),
    _more("palette", "ctrl+p", "commands", "Find any action by its name.", "command_palette"),
    _more("scroll-up", "pageup", "", "Scroll up.", "scroll(-1)"),
    _more("scroll-down", "pagedown", "", "Scroll down.", "scroll(1)"),
    _more("theme", "ctrl+t", "light or dark", "Switch between light and dark colours."),
    _more("quit", "ctrl+q,ctrl+c", "quit", "Leave. Your place is kept; a run goes on."),
)

# Each fills the dashboard with one of its panes; the same digit or esc brings the others back.
_PANES = (
    _more("pane-loss", "1", "loss", "The loss alone, large.", "pane('loss')"),
    _more("pane-rate", "2", "learning rate", "The learning rate.", "pane('lr')"),
    _more("pane-gradient", "3", "gradient", "The gradient norm.", "pane('grad_norm')"),
    _more("pane-speed", "4", "speed", "Tokens per second.", "pane('tokens_per_s')"),
    _more("pane-memory", "5", "memory", "Memory over time, beside what was planned.", "pane('memory_bytes')"),
    _more("pane-machine", "6", "machine", "The machine, and the planned memory by part.", "pane('machine')"),
    _more("pane-news", "7", "news", "What happened, newest first.", "pane('news')"),
)

PLACES: dict[str, tuple[Key, ...]] = {
    "welcome": _place(
        "welcome",
        _main("open", "open", "Begin the way the cursor is on."),
        _key("runs", "r", "runs", "Runs on this machine, live and past."),
    ),
    "question": _place(
        "question",
        _main("next", "next", "Answer with the marked line and go on."),
        _back("The question before."),
        _more("mark", "space", "mark", "Mark or unmark a line where several may apply."),
        _key("skip", "s", "skip", "Leave this question open."),
        _key("verdict", "v", "advice now", "See the advice with the answers so far."),
    ),
    "verdict": _place(
        "verdict",
        _main("next", "go on", "Go on to the hardware."),
        _back("The last question."),
        _key("again", "r", "answer again", "Answer the questions from the start."),
        _key("save", "w", "write down", "Write the advice to a text file."),
    ),
    "hardware": _place(
        "hardware",
        _main("next", "next", "Go on to the model."),
        _back(),
        _key("price", "p", "price", "Say what this machine costs per hour."),
        _key("look", "r", "look again", "Look at the machine again."),
    ),
    "pick-model": _place(
        "pick-model",
        _main("use", "use", "Use the marked model, or what was typed."),
        *_moves("Move through the models."),
        _back(),
    ),
    "model": _place(
        "model",
        _main("next", "next", "Go on to the data."),
        _back(),
        _key("change", "c", "choose another", "Choose another model."),
        _key("template", "t", "chat template", "Read the model's chat template."),
    ),
    "pick-data": _place(
        "pick-data",
        _main("use", "use", "Use the marked file, or open the marked folder."),
        *_moves("Move through the files."),
        _key("complete", "tab", "complete", "Complete the path with the marked line."),
        _back(),
    ),
    "data": _place(
        "data",
        _main("next", "next", "Go on to the plan."),
        _back(),
        _key("preview", "p", "preview", "See one row as the model will see it."),
        _key("findings", "f", "findings", "Read each finding with the rows it is about."),
        _key("repair", "r", "repair", "Write a repaired copy, with every change before and after."),
        _more("mapping", "m", "mapping", "Correct which column is what."),
        _more("limit-less", "left", "limit", "Try a shorter length limit: see what it cuts.", "limit(-1)"),
        _more("limit-more", "right", "limit", "Try a longer length limit.", "limit(1)"),
        _more("take-limit", "l", "take limit", "Take the limit that is shown; again gives it to the plan."),
        _more("change", "c", "choose another", "Choose other data."),
        _more("split", "x", "held-out rows", "Change how many rows are held out."),
        _more("system", "y", "system prompt", "Put a system prompt before rows that have none."),
        _more("accept", "a", "accept findings", "Accept what blocks, and train on the data as it is."),
    ),
    "plan": _place(
        "plan",
        _main("start", "start", "Start the run in the background."),
        Key("less", "left", "turn", "Turn the marked setting down or up.", "turn(-1)", shown_as="←→"),
        Key("more", "right", "", "", "turn(1)", footer=False),
        _key("edit", "e", "edit", "Type a value for the marked setting; the rest is worked out anew."),
        _key("ways", "a", "other ways", "Other plans beside this one: safest, fastest, best."),
        _key("save", "w", "save recipe", "Write the recipe to a file."),
        _more("relief", "f", "make it fit", "The cheapest steps that make the plan fit."),
        _more("bill", "c", "costs", "Time, money and disk by part; what managed services ask."),
        _more("price", "p", "price", "Say what this machine costs per hour."),
        _more("options", "o", "all options", "Every option a recipe has."),
        _more("unpin", "u", "derive", "Give the marked value back to the plan."),
        _more("why", "m", "memory", "The memory by part, and what the figure rests on."),
        _back_more(),
        _more("name", "n", "name", "Name the run."),
    ),
    "train": _place(
        "train",
        _main("go", "go on", "Close an alert; when the run is over, go on to the comparison."),
        _key("pause", "p", "pause", "Save and end the process; the same key goes on later."),
        _key("save", "c", "save now", "Save a checkpoint now and go on."),
        _key("stop", "k", "stop and keep", "Stop and keep the best weights; asks first."),
        _key("log", "l", "log", "Read the log."),
        _key("leave", "q", "leave", "Leave tui-ft; the run goes on without you."),
        _more("back", "escape", "runs", "Back to the list of runs; the run goes on."),
        _more("evaluate", "e", "measure now", "Measure the validation loss now."),
        _more("epoch", "n", "stop after epoch", "Stop when the epoch is over and keep the best weights."),
        _more("change", "w", "change", "Change the learning rate, an interval or a limit while it trains."),
        _more("scale", "y", "log scale", "Loss axis: linear or logarithmic."),
        *_PANES,
        _more("cursor-left", "left", "read off", "Read figures off the curve: a step back.", "cursor(-1)"),
        _more("cursor-right", "right", "read off", "Read figures off the curve: a step on.", "cursor(1)"),
        _more("overlay", "v", "compare curves", "Lay the curve of another run under this one."),
        _more("alerts", "a", "alerts", "Read everything that needed you."),
        _more("recipe", "r", "recipe", "Read the recipe of this run."),
    ),
    "evaluate": _place(
        "evaluate",
        _main("next", "go on", "Start the comparison; when it is there, go on to the export."),
        _back(),
        _key("again", "r", "measure again", "Run the comparison again."),
        _key("samples", "a", "answers", "Read the answers side by side."),
        _key("log", "l", "log", "Read the log."),
    ),
    "export": _place(
        "export",
        _main("export", "export", "Export the marked formats and check each."),
        _back(),
        _key("mark", "space", "mark", "Mark or unmark a format."),
        _key("log", "l", "log", "Read the log."),
        _more("howto", "u", "how to use", "Read how to use what was exported."),
        _more("new", "n", "new recipe", "Start over with a new recipe; this run is kept."),
    ),
    "runs": _place(
        "runs",
        _main("open", "open", "Open the marked run."),
        _back(),
        _key("copy", "n", "new from it", "Start a new recipe from this run's."),
        _more("refresh", "r", "refresh", "Read the runs again."),
    ),
}

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
}

_TYPING = ("pick-model", "pick-data")


def bindings(place: str) -> list[BindingType]:
    """The bindings of a place, for a Screen's BINDINGS."""
    return [_binding(key) for key in PLACES[place]]


def global_bindings() -> list[BindingType]:
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
        "`keys.toml` in the home folder (`tui-ft doctor` prints where that is), with keys by the names",
        "Textual gives them:",
        "",
        "```toml",
        '"train.stop" = "k"',
        '"help" = "question_mark,f1"',
        "```",
        "",
    ]
    for place, keys in {"everywhere": EVERYWHERE, **PLACES}.items():
        lines += [f"## {TITLES[place]}", "", "| key | what it does | id |", "|---|---|---|"]
        lines += [f"| `{key.shown}` | {key.help} | `{key.id}` |" for key in keys if key.help]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Print the reference: `python -m tui_ft.screens.keys > docs/keys.md`."""
    print(reference(), end="")


if __name__ == "__main__":
    main()
