"""Rows as they stand in files → rows in canonical form. Pure; a row that cannot be learned from says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any

from tui_ft.data.rows import ColumnMapping, Message, RawRow, Row, Unusable
from tui_ft.data.shapes import as_turns, classify
from tui_ft.data.turns import Unfit, as_text, check_filled, check_order, message, tools
from tui_ft.text import excerpt

_DENSE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
# Where a fault can only be, by the shape, and by the finding and the shape.
_ONLY_PART = {"messages": "messages", "sharegpt": "conversations", "text": "text"}
_EMPTY_PARTS = {
    ("empty-answer", "alpaca"): "output", ("empty-prompt", "alpaca"): "instruction",
    ("empty-answer", "prompt-completion"): "completion", ("empty-prompt", "prompt-completion"): "prompt",
    ("empty-answer", "kto"): "completion", ("empty-prompt", "kto"): "prompt",
    ("empty-prompt", "preference"): "prompt",
}  # fmt: skip
_TRUE = frozenset(["true", "1", "yes", "good"])
_FALSE = frozenset(["false", "0", "no", "bad", "-1"])


def to_row(raw: RawRow, mapping: ColumnMapping, system: str = "") -> Row | Unusable:
    """The row in canonical form, or why it cannot be learned from.

    `system` is put before conversations that have no system message. The id is a hash of what the file
    says, without it, so that another system prompt leaves the split as it is.
    """
    try:
        row = _BUILDERS[mapping.shape](_Fields(raw.values, mapping.columns), raw)
        row_id = sha256(canonical(row).encode()).hexdigest()[:16]
    except Unfit as error:
        return _unusable(raw, mapping, error)
    except RecursionError:
        return Unusable("not-text", raw.file, raw.line, "holds a value that is nested too deeply")
    except UnicodeEncodeError:
        text = excerpt(json.dumps(dict(raw.values), default=str))
        what = "holds bytes or escapes that are no character"
        return Unusable("broken-unicode", raw.file, raw.line, what, text)
    if system and row.messages and row.messages[0]["role"] != "system":
        row = replace(row, messages=(Message(role="system", content=system), *row.messages))
    # The row is nobody else's yet; `replace` would make it a second time.
    object.__setattr__(row, "id", row_id)
    return row


def canonical(row: Row) -> str:
    """The content of a row as JSON with sorted keys; equal rows give equal text."""
    if row.chosen is None and row.text is None and row.label is None and not row.tools:
        turns = ",".join([_dense(turn) for turn in row.messages])
        return f"[[{turns}],null,null,null,null,[]]"
    return _DENSE.encode([row.messages, row.text, row.chosen, row.rejected, row.label, row.tools])


def _dense(turn: Message) -> str:
    if len(turn) == 2:
        return f'{{"content":{encode_basestring(turn["content"])},"role":"{turn["role"]}"}}'
    return _DENSE.encode(turn)


def _unusable(raw: RawRow, mapping: ColumnMapping, error: Unfit) -> Unusable:
    if error.id == "missing-field":
        guess = classify(raw.values)
        if guess and guess.confident and guess.shape != mapping.shape:
            what = f"looks like {guess.shape}, while most rows are {mapping.shape}"
            return Unusable("mixed-shapes", raw.file, raw.line, what, excerpt(", ".join(raw.values)))
    return Unusable(error.id, raw.file, raw.line, error.what, error.excerpt, _blamed(error, mapping))


def _blamed(error: Unfit, mapping: ColumnMapping) -> str:
    """The column a fault is in, "" where it may be in several."""
    part = _ONLY_PART.get(mapping.shape) or _EMPTY_PARTS.get((error.id, mapping.shape), "")
    return error.field or mapping.columns.get(part, part)


class _Fields:
    """A row's values by the part they play."""

    def __init__(self, values: Mapping[str, Any], columns: Mapping[str, str]) -> None:
        self._values = values
        self._columns = columns

    def column(self, part: str) -> str:
        """The column a part is read from."""
        return self._columns.get(part, part)

    def get(self, part: str) -> Any:
        """The value of a part, None when its column is missing or null.

        An optional part that is not mapped is looked for by its own name: rare columns, such as a system
        prompt in a few rows, need not be among the rows that were looked at to tell the shape.
        """
        return self._values.get(self._columns.get(part, part))

    def needed(self, part: str) -> Any:
        """As `get`. Raises Unfit when there is nothing."""
        value = self.get(part)
        if value is None:
            column = self.column(part)
            state = "is null" if column in self._values else "is missing"
            shown = ", ".join(self._values)
            raise Unfit("missing-field", f"{excerpt(column, 30)!r} {state}", shown, field=column)
        return value

    def text(self, part: str) -> str:
        """An optional part as text, "" when there is none."""
        return as_text(self.get(part)) or ""

    def system(self) -> tuple[Message, ...]:
        """The system message of the row's own system column."""
        text = self.text("system")
        return (Message(role="system", content=text),) if text.strip() else ()


def _turns(value: Any, column: str) -> tuple[Message, ...]:
    turns = as_turns(value)
    if turns is None:
        if value in ([], "[]", ""):
            raise Unfit("no-answer", f"{excerpt(column, 30)!r} holds no turns", field=column)
        raise Unfit("not-text", f"{excerpt(column, 30)!r} is no list of turns", value, field=column)
    return tuple(message(turn, number) for number, turn in enumerate(turns, 1))


def _conversation(fields: _Fields, part: str) -> tuple[Message, ...]:
    turns = _turns(fields.needed(part), fields.column(part))
    if turns and turns[0]["role"] != "system":
        turns = (*fields.system(), *turns)
    return turns


def _from_messages(fields: _Fields, raw: RawRow, part: str = "messages") -> Row:
    turns = _conversation(fields, part)
    check_filled(turns)
    check_order(turns)
    return Row("", raw.file, raw.line, turns, tools=tools(fields.get("tools")))


def _from_sharegpt(fields: _Fields, raw: RawRow) -> Row:
    return _from_messages(fields, raw, "conversations")


def _from_alpaca(fields: _Fields, raw: RawRow) -> Row:
    instruction = as_text(fields.needed("instruction")) or ""
    more = fields.text("input")
    prompt = "\n\n".join(text for text in (instruction, more) if text.strip())
    earlier: list[Message] = []
    history = fields.get("history") or ()
    for pair in history if isinstance(history, list | tuple) else (history,):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Unfit("not-text", "'history' is no list of [question, answer] pairs", pair)
        earlier += _exchange(as_text(pair[0]) or "", as_text(pair[1]) or "")
    turns = (*fields.system(), *earlier, *_exchange(prompt, as_text(fields.needed("output")) or ""))
    check_filled(turns)
    return Row("", raw.file, raw.line, turns)


def _from_pair(fields: _Fields, raw: RawRow) -> Row:
    prompt, completion = fields.needed("prompt"), fields.needed("completion")
    turns = (*_prompt_turns(prompt, fields), *_completion_turns(completion))
    check_filled(turns)
    check_order(turns)
    return Row("", raw.file, raw.line, turns, tools=tools(fields.get("tools")))


def _from_text(fields: _Fields, raw: RawRow) -> Row:
    text = as_text(fields.needed("text")) or ""
    if not text.strip():
        raise Unfit("empty-answer", "the text is empty")
    return Row("", raw.file, raw.line, text=text)


def _from_preference(fields: _Fields, raw: RawRow) -> Row:
    chosen, rejected = fields.needed("chosen"), fields.needed("rejected")
    prompt = fields.get("prompt")
    if prompt is None:
        turns = _shared_prompt(chosen, rejected)
        turns = turns if turns[:1] and turns[0]["role"] == "system" else (*fields.system(), *turns)
    else:
        turns = _prompt_turns(prompt, fields)
    good, bad = _answer(chosen), _answer(rejected)
    check_filled((*turns, Message(role="assistant", content=good), Message(role="assistant", content=bad)))
    check_order((*turns, Message(role="assistant", content=good)))
    if good == bad:
        raise Unfit("same-pair", "the chosen and the rejected answer are the same", good)
    return Row("", raw.file, raw.line, turns, chosen=good, rejected=bad, tools=tools(fields.get("tools")))


def _from_kto(fields: _Fields, raw: RawRow) -> Row:
    completion = fields.needed("completion")
    verdict = str(fields.needed("label")).strip().casefold()
    if verdict not in _TRUE | _FALSE:
        what = "the label is neither true nor false"
        raise Unfit("bad-label", what, verdict, field=fields.column("label"))
    prompt = fields.get("prompt")
    if prompt is None:
        turns = _turns(completion, "completion")
    else:
        turns = (*_prompt_turns(prompt, fields), *_completion_turns(completion))
    check_filled(turns)
    check_order(turns)
    label = verdict in _TRUE
    return Row("", raw.file, raw.line, turns, label=label, tools=tools(fields.get("tools")))


def _exchange(prompt: str, answer: str) -> tuple[Message, Message]:
    return Message(role="user", content=prompt), Message(role="assistant", content=answer)


def _written_turns(value: Any) -> tuple[Message, ...] | None:
    """The turns of a conversation, None when the value is a plain text or a JSON answer."""
    turns = as_turns(value)
    if turns is None or not ("role" in turns[0] or "from" in turns[0]):
        return None
    return tuple(message(turn, number) for number, turn in enumerate(turns, 1))


def _prompt_turns(prompt: Any, fields: _Fields) -> tuple[Message, ...]:
    """A prompt that is a text, or a conversation up to the answer."""
    turns = _written_turns(prompt) or (Message(role="user", content=as_text(prompt) or ""),)
    return turns if turns[0]["role"] == "system" else (*fields.system(), *turns)


def _completion_turns(value: Any) -> tuple[Message, ...]:
    """What follows the prompt: one answer, or several turns with calls of tools."""
    turns = _written_turns(value)
    if turns is not None and turns[0]["role"] == "assistant":
        return turns
    return (Message(role="assistant", content=_answer(value)),)


def _answer(value: Any) -> str:
    """An answer that is a text, a message, or a conversation ending in it."""
    if isinstance(value, Mapping) and ("role" in value or "from" in value):
        return message(value, 1)["content"]
    turns = _written_turns(value)
    return turns[-1]["content"] if turns else as_text(value) or ""


def _shared_prompt(chosen: Any, rejected: Any) -> tuple[Message, ...]:
    """The prompt of a pair whose two conversations differ in their last turn only."""
    good, bad = as_turns(chosen), as_turns(rejected)
    if not good or not bad:
        raise Unfit("missing-field", "there is no prompt", "")
    before = [message(turn, number) for number, turn in enumerate(good[:-1], 1)]
    if before != [message(turn, number) for number, turn in enumerate(bad[:-1], 1)]:
        raise Unfit(
            "role-order", "the chosen and the rejected conversation differ before their last turn", ""
        )
    return tuple(before)


def _unmapped(fields: _Fields, raw: RawRow) -> Row:
    raise Unfit(
        "unknown-columns", "no column is known to be a prompt, an answer or a text", ", ".join(raw.values)
    )


_BUILDERS = {
    "messages": _from_messages,
    "sharegpt": _from_sharegpt,
    "alpaca": _from_alpaca,
    "prompt-completion": _from_pair,
    "text": _from_text,
    "preference": _from_preference,
    "kto": _from_kto,
    "unknown": _unmapped,
}
