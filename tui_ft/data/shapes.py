"""Which shape the rows have and which column plays which part, told by looking at many of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tui_ft.data.rows import ColumnMapping, RawRow, Shape
from tui_ft.errors import InputError, Problem
from tui_ft.text import excerpt, nearest


@dataclass(frozen=True, slots=True)
class Parts:
    """What a shape is made of. The part's own name is also the column it is looked for first."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Required and optional parts."""
        return self.required + self.optional


PARTS: Final[Mapping[Shape, Parts]] = {
    "messages": Parts(("messages",), ("tools", "system")),
    "sharegpt": Parts(("conversations",), ("tools", "system")),
    "alpaca": Parts(("instruction", "output"), ("input", "system", "history")),
    "prompt-completion": Parts(("prompt", "completion"), ("system", "tools")),
    "text": Parts(("text",)),
    "preference": Parts(("chosen", "rejected"), ("prompt", "system", "tools")),
    "kto": Parts(("completion", "label"), ("prompt", "system", "tools")),
    "unknown": Parts(()),
}
UNKNOWN: Final = ColumnMapping("unknown", {}, confident=False)

# Names that say outright what a column is, best first, then names that only suggest it.
_CONVERSATION = ("messages", "conversations")
_CONVERSATION_ALIKE = ("conversation", "chat", "dialogue", "dialog", "turns", "message")
_PAIRS = (("prompt", "completion"), ("question", "answer"))
_PROMPT_ALIKE = (
    "prompt", "question", "instruction", "query", "input", "user", "human", "problem", "request", "text",
    "sentence", "ticket", "message", "email", "subject", "document", "article", "source",
)  # fmt: skip
_COMPLETION_ALIKE = (
    "completion", "answer", "response", "output", "reply", "assistant", "bot", "solution", "target",
    "result", "label", "category", "class", "intent", "sentiment", "summary", "translation",
)  # fmt: skip
_TEXT_ALIKE = ("content", "document", "body", "passage", "article", "raw", "raw_content", "page")
_LABELS = ("label", "kto_tag")


@dataclass(frozen=True, slots=True)
class _Guess:
    shape: Shape
    required: tuple[tuple[str, str], ...]  # (part, column)
    optional: tuple[tuple[str, str], ...] = ()
    confident: bool = True


def detect(rows: Iterable[RawRow]) -> ColumnMapping:
    """The shape most of these rows have; UNKNOWN when no column can be told apart by name and content."""
    votes: Counter[tuple[Shape, tuple[tuple[str, str], ...], bool]] = Counter()
    optional: Counter[tuple[Shape, tuple[str, str]]] = Counter()
    for row in rows:
        guess = classify(row.values)
        if guess:
            votes[guess.shape, guess.required, guess.confident] += 1
            optional.update((guess.shape, pair) for pair in guess.optional)
    if not votes:
        return UNKNOWN
    shape, required, confident = votes.most_common(1)[0][0]
    columns = dict(required)
    for (of_shape, (part, column)), _ in optional.most_common():
        if of_shape == shape:
            columns.setdefault(part, column)
    return ColumnMapping(shape, columns, confident)


def choose(
    rows: Sequence[RawRow], shape: str = "auto", columns: Mapping[str, str] | None = None
) -> ColumnMapping:
    """The mapping for these rows, with what the user said about `shape` and `columns` put first.

    Raises InputError for parts or columns that do not exist.
    """
    mapping = _choose(rows, shape, columns)
    shown = mapping.columns or {column: column for column in columns_of(rows)[:12]}
    return replace(mapping, preview=_preview(rows, shown))


def _preview(rows: Sequence[RawRow], columns: Mapping[str, str]) -> dict[str, str]:
    """What the first row with something in every part has in them; else the first row that has anything."""
    for fits in (all, any):
        for row in rows:
            values = {part: row.values.get(column) for part, column in columns.items()}
            if fits(value not in (None, "") for value in values.values()):
                return {part: _shown(value) for part, value in values.items() if value is not None}
    return {}


def _shown(value: Any) -> str:
    try:
        return excerpt(
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
        )
    except RecursionError:
        return "nested too deeply"


def _choose(rows: Sequence[RawRow], shape: str, columns: Mapping[str, str] | None) -> ColumnMapping:
    given = dict(columns or {})
    seen = columns_of(rows)
    if shape == "auto" and not given:
        return detect(rows)
    chosen: Shape = _shape_of_parts(given) if shape == "auto" else _as_shape(shape)
    parts = PARTS[chosen]
    problems = [_no_part(part, chosen) for part in given if part not in parts.all]
    problems += [_no_column(part, column, seen) for part, column in given.items() if column not in seen]
    if problems:
        raise InputError(problems)
    by_name = _by_name(chosen, seen)
    mapping = {**by_name, **given}
    missing = [part for part in parts.required if part not in mapping]
    if missing:
        raise InputError([_unmapped(part, chosen, seen) for part in missing])
    return ColumnMapping(chosen, mapping, confident=True)


def classify(values: Mapping[str, Any]) -> _Guess | None:
    """What one row looks like by itself, None when its columns say nothing."""
    names: dict[str, str] = {}
    for column in values:
        names.setdefault(column.strip().casefold(), column)
    return (
        _preference(values, names)
        or _kto(values, names)
        or _conversation(values, names)
        or _alpaca(names)
        or _pair(names)
        or _text(names)
    )


def columns_of(rows: Iterable[RawRow]) -> tuple[str, ...]:
    """Every column in these rows, in the order in which they appear."""
    return tuple(dict.fromkeys(column for row in rows for column in row.values))


def as_turns(value: Any) -> list[Mapping[str, Any]] | None:
    """The turns of a conversation, also when it is JSON in a string (a CSV cell); None when it is none."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if type(value) is list and value and all(type(turn) is dict for turn in value):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        turns = [turn for turn in value if isinstance(turn, Mapping)]
        return turns if len(turns) == len(value) else None
    return None


def _conversation(values: Mapping[str, Any], names: Mapping[str, str]) -> _Guess | None:
    for name in (*_CONVERSATION, *_CONVERSATION_ALIKE):
        if name not in names or not (turns := as_turns(values[names[name]])):
            continue
        shape: Shape = "sharegpt" if "from" in turns[0] or "value" in turns[0] else "messages"
        if shape == "messages" and "role" not in turns[0] and "content" not in turns[0]:
            continue
        part = PARTS[shape].required[0]
        return _Guess(shape, ((part, names[name]),), _optional(shape, names), confident=name in _CONVERSATION)
    return None


def _preference(values: Mapping[str, Any], names: Mapping[str, str]) -> _Guess | None:
    if not {"chosen", "rejected"} <= names.keys():
        return None
    required = (("chosen", names["chosen"]), ("rejected", names["rejected"]))
    return _with_prompt("preference", required, values, names)


def _kto(values: Mapping[str, Any], names: Mapping[str, str]) -> _Guess | None:
    label = next((name for name in _LABELS if name in names and _is_verdict(values[names[name]])), None)
    if label is None or "completion" not in names:
        return None
    required = (("completion", names["completion"]), ("label", names[label]))
    return _with_prompt("kto", required, values, names)


def _with_prompt(
    shape: Shape, required: tuple[tuple[str, str], ...], values: Mapping[str, Any], names: Mapping[str, str]
) -> _Guess:
    """A shape whose prompt may be a text or a conversation, or be part of the answers."""
    sure = ("prompt", *_CONVERSATION)
    alike = ("question", "instruction", "input", "query")
    prompt = next((name for name in (*sure, *alike) if name in names), None)
    implicit = prompt is None and all(
        as_turns(values[column]) for part, column in required if part != "label"
    )
    optional = _optional(shape, names)
    if prompt is not None:
        optional = (("prompt", names[prompt]), *(pair for pair in optional if pair[0] != "prompt"))
    return _Guess(shape, required, optional, confident=prompt in sure or implicit)


def _alpaca(names: Mapping[str, str]) -> _Guess | None:
    if "instruction" not in names:
        return None
    if "output" in names:
        required = (("instruction", names["instruction"]), ("output", names["output"]))
        return _Guess("alpaca", required, _optional("alpaca", names))
    output = next((name for name in ("response", "answer", "completion") if name in names), None)
    if output is None:
        return None
    more = next((("input", names[name]) for name in ("input", "context") if name in names), None)
    required = (("instruction", names["instruction"]), ("output", names[output]))
    optional = tuple(pair for pair in _optional("alpaca", names) if pair[0] != "input")
    return _Guess("alpaca", required, optional + ((more,) if more else ()), confident=False)


def _pair(names: Mapping[str, str]) -> _Guess | None:
    optional = _optional("prompt-completion", names)
    for prompt, completion in _PAIRS:
        if prompt in names and completion in names:
            # A third column that could be part of the prompt makes even these names doubtful.
            sure = not {"context", "input", "history"} & names.keys()
            required = (("prompt", names[prompt]), ("completion", names[completion]))
            return _Guess("prompt-completion", required, optional, confident=sure)
    prompts = [name for name in _PROMPT_ALIKE if name in names]
    completions = [name for name in _COMPLETION_ALIKE if name in names]
    if prompts and completions:
        required = (("prompt", names[prompts[0]]), ("completion", names[completions[0]]))
        return _Guess("prompt-completion", required, optional, confident=False)
    return None


def _text(names: Mapping[str, str]) -> _Guess | None:
    if "text" in names:
        return _Guess("text", (("text", names["text"]),))
    alike = next((name for name in _TEXT_ALIKE if name in names), None)
    return _Guess("text", (("text", names[alike]),), confident=False) if alike else None


def _optional(shape: Shape, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((part, names[part]) for part in PARTS[shape].optional if part in names)


def _is_verdict(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.casefold() in ("true", "false"))


def _by_name(shape: Shape, seen: Sequence[str]) -> dict[str, str]:
    """Parts whose own name, or a usual one, is among the columns."""
    names = {column.strip().casefold(): column for column in reversed(seen)}
    found = {part: names[part] for part in PARTS[shape].all if part in names}
    usual: dict[str, tuple[str, ...]] = {
        "messages": (*_CONVERSATION, *_CONVERSATION_ALIKE),
        "conversations": (*_CONVERSATION, *_CONVERSATION_ALIKE),
        "label": _LABELS,
        "prompt": ("question", *_CONVERSATION) if shape in ("preference", "kto") else ("question",),
        "completion": ("answer",),
    }
    for part in PARTS[shape].all:
        if part not in found:
            column = next((names[name] for name in usual.get(part, ()) if name in names), None)
            if column is not None:
                found[part] = column
    return found


def _as_shape(shape: str) -> Shape:
    known: Shape | None = next((name for name in PARTS if name == shape and name != "unknown"), None)
    if known is None:
        close = nearest(shape, PARTS)
        raise InputError(
            f"there is no format {excerpt(shape)!r}",
            where="data.format",
            fix=f"Did you mean {close[0]}?" if close else f"Formats are: {', '.join(PARTS)}.",
        )
    return known


def _shape_of_parts(given: Mapping[str, str]) -> Shape:
    """The shape that has all the parts the user named."""
    for shape, parts in PARTS.items():
        if given.keys() <= set(parts.all) and given.keys() & set(parts.required):
            return shape
    raise InputError(
        f"no format is made of {', '.join(map(excerpt, given))}",
        where="data.columns",
        fix='Name parts and their columns, e.g. columns = { prompt = "question", completion = "reply" }.',
    )


def _no_part(part: str, shape: Shape) -> Problem:
    return Problem(
        f"{shape} has no part {excerpt(part)!r}",
        "data.columns",
        f"Its parts are: {', '.join(PARTS[shape].all)}.",
    )


def _no_column(part: str, column: str, seen: Sequence[str]) -> Problem:
    close = nearest(column, seen)
    fix = f"Did you mean {excerpt(close[0])}?" if close else f"The columns are: {_listed(seen)}."
    return Problem(f"there is no column {excerpt(column)!r} for {part}", "data.columns", fix)


def _unmapped(part: str, shape: Shape, seen: Sequence[str]) -> Problem:
    return Problem(
        f"the format {shape} needs a column for {part}",
        "data.columns",
        f'Write columns = {{ {part} = "…" }}. The columns are: {_listed(seen)}.',
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(excerpt(column, 30) for column in columns[:12]) or "none"
