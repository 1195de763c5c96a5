"""Conversations in one form: canonical roles, text content, tool calls as objects, a sound order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tui_ft.data.rows import Message
from tui_ft.text import excerpt, nearest

ROLES: Final[Mapping[str, str]] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "chatbot": "assistant",
    "model": "assistant",
    "function_call": "assistant", "tool_call": "assistant",
    "tool": "tool", "observation": "tool", "function": "tool", "function_response": "tool",
    "tool_response": "tool", "ipython": "tool",
}  # fmt: skip
_CALLS = ("function_call", "tool_call")
# Turns of nothing but a role and a text, which are nearly all there are, go a short way.
_PLAIN: Final = {**{(name, "role"): ROLES[name] for name in ("system", "user", "assistant", "tool")},
                 **{(name, "from"): ROLES[name] for name in ("system", "human", "gpt")}}  # fmt: skip
_REASONING = ("reasoning_content", "reasoning", "thinking")


class Unfit(Exception):
    """A row cannot be learned from. `id` is the finding it counts towards, `field` the column to blame."""

    def __init__(self, finding: str, what: str, seen: Any = "", *, field: str = "") -> None:
        super().__init__(what)
        self.id = finding
        self.field = field
        self.what = what
        self.excerpt = excerpt(seen if isinstance(seen, str) else repr(seen))


def message(turn: Mapping[str, Any], number: int) -> Message:
    """One turn in canonical form. Raises Unfit for an unknown role or content that is not text."""
    if len(turn) == 2 and (plain := _plain(turn)) is not None:
        return plain
    given = turn.get("role", turn.get("from"))
    if not isinstance(given, str) or not given.strip():
        raise Unfit("unknown-role", f"turn {number} has no role", dict(turn))
    name = given.strip().casefold()
    role = ROLES.get(name)
    if role is None:
        close = nearest(name, ROLES)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise Unfit("unknown-role", f"turn {number} has the unknown role {excerpt(given, 30)!r}{hint}", given)
    content = turn.get("content", turn.get("value"))
    if name in _CALLS:
        return Message(role=role, content="", tool_calls=_calls_in(content, number))
    done = Message(role=role, content=_content(content, number))
    if calls := turn.get("tool_calls"):
        if role != "assistant" or not isinstance(calls, Sequence) or isinstance(calls, str):
            raise Unfit("bad-tool-call", f"turn {number} has tool calls that are no list", calls)
        done["tool_calls"] = [tool_call(call, number) for call in calls]
    reasoning = next((turn[key] for key in _REASONING if isinstance(turn.get(key), str) and turn[key]), None)
    if reasoning is not None and role == "assistant":
        done["reasoning_content"] = reasoning
    if role == "tool":
        if isinstance(turn.get("name"), str):
            done["name"] = turn["name"]
        if isinstance(turn.get("tool_call_id"), str):
            done["tool_call_id"] = turn["tool_call_id"]
    return done


def _plain(turn: Mapping[str, Any]) -> Message | None:
    """A turn whose role and content are as they should be, None when it takes a closer look."""
    for key, said in (("role", "content"), ("from", "value")):
        if key in turn and said in turn:
            given, content = turn[key], turn[said]
            if type(given) is str and type(content) is str and (role := _PLAIN.get((given, key))):
                return {"role": role, "content": content}
    return None


def as_text(value: Any) -> str | None:
    """A field as text: strings as they are, numbers and objects as JSON, None for null."""
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise Unfit("not-text", f"a field holds {type(value).__name__}, not text", value) from None


def tool_call(call: Any, number: int) -> dict[str, Any]:
    """A call as templates expect it, its arguments an object. Raises Unfit when it has no name."""
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise Unfit("bad-tool-call", f"the tool call in turn {number} has no name", call)
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _parsed(arguments or "{}", f"the arguments of the tool call in turn {number}")
    if not isinstance(arguments, Mapping):
        raise Unfit(
            "bad-tool-call", f"the arguments of the tool call in turn {number} are no object", arguments
        )
    done = {"type": "function", "function": {"name": inner["name"], "arguments": dict(arguments)}}
    return {"id": call["id"], **done} if isinstance(call.get("id"), str) else done


def tools(value: Any) -> tuple[dict[str, Any], ...]:
    """The tools a conversation may use, as {"type": "function", "function": {…}}. Raises Unfit if damaged."""
    if isinstance(value, str):
        value = _parsed(value, "the list of tools") if value.strip() else None
    if not value:
        return ()
    if not isinstance(value, Sequence) or not all(isinstance(tool, Mapping) for tool in value):
        raise Unfit("bad-tool-call", "the tools are no list of objects", value)
    return tuple(
        dict(tool) if "function" in tool else {"type": "function", "function": dict(tool)} for tool in value
    )


def check_order(turns: Sequence[Message]) -> None:
    """Raises Unfit unless the turns follow each other soundly and the last one is the assistant's."""
    roles = [turn["role"] for turn in turns]
    if "assistant" not in roles:
        raise Unfit("no-answer", "there is no assistant turn to learn from", _roles(turns))
    if roles[roles[0] == "system" :] == ["user", "assistant"] * (len(roles) // 2):
        return
    last = ""
    for number, (role, turn) in enumerate(zip(roles, turns, strict=True), 1):
        if role == "system" and last:
            raise Unfit(
                "role-order", f"turn {number} is a system message, which has to come first", _roles(turns)
            )
        if role == "tool" and last not in ("tool", "call"):
            raise Unfit(
                "role-order", f"turn {number} is a tool's reply that no call asked for", _roles(turns)
            )
        if role == "assistant" and last in ("", "system"):
            raise Unfit("role-order", f"turn {number}, the first, is the assistant's", _roles(turns))
        if (role == last and role != "tool") or (role == "assistant" and last == "call"):
            raise Unfit("role-order", f"turns {number - 1} and {number} are both {role} turns", _roles(turns))
        last = "call" if turn.get("tool_calls") else role
    if turns[-1]["role"] != "assistant":
        raise Unfit(
            "answer-not-last",
            f"the last turn is the {turns[-1]['role']}'s, nothing answers it",
            _roles(turns),
        )


def check_filled(turns: Sequence[Message]) -> None:
    """Raises Unfit for turns that say nothing. A tool may reply with nothing."""
    for number, turn in enumerate(turns, 1):
        if turn["content"].strip() or turn.get("tool_calls") or turn["role"] == "tool":
            continue
        finding = "empty-answer" if turn["role"] == "assistant" else "empty-prompt"
        raise Unfit(finding, f"turn {number}, the {turn['role']}'s, is empty")


def _content(value: Any, number: int) -> str:
    """Text, or the text parts of multimodal content."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [part for part in value if isinstance(part, Mapping)]
        if len(parts) == len(value) and all(part.get("type", "text") == "text" for part in parts):
            return "".join(str(part.get("text") or "") for part in parts)
        raise Unfit("not-text", f"turn {number} holds something other than text", value)
    return as_text(value) or ""


def _calls_in(value: Any, number: int) -> list[dict[str, Any]]:
    """The calls in a turn that is nothing but calls, written as JSON."""
    parsed = _parsed(value, f"the tool call in turn {number}") if isinstance(value, str) else value
    return [tool_call(call, number) for call in (parsed if isinstance(parsed, list) else [parsed])]


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unfit("bad-tool-call", f"{what} is not valid JSON", text) from None


def _roles(turns: Sequence[Message]) -> str:
    return " ".join(turn["role"] for turn in turns)
