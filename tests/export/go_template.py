"""Enough of Go's text/template to run what `ollama.go_template` writes, as Ollama would.

Written from https://pkg.go.dev/text/template: if, else if, else, range with two variables, end; eq, le,
and, not; fields of the current value and of `$`; string constants. Trim markers are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui_ft.data.rows import Message

Scope = dict[str, Any]


@dataclass
class Node:
    """A text, an action, or a block with its branches (condition, body)."""

    text: str = ""
    action: str = ""
    branches: list[tuple[str, list[Node]]] = field(default_factory=list)
    loop: bool = False


def execute(template: str, messages: Sequence[Message]) -> str:
    """The prompt Ollama makes of these messages."""
    collated: list[dict[str, str]] = []
    for message in messages:
        if collated and collated[-1]["Role"] == message["role"]:
            collated[-1]["Content"] += "\n\n" + message["content"]
        else:
            collated.append({"Role": message["role"], "Content": message["content"]})
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    root = {"System": system, "Messages": collated}
    pieces = iter(re.split(r"\{\{(.*?)\}\}", template))
    nodes, end = _parse(_tokens(pieces))
    assert end == ""
    return _run(nodes, root, {"$": root})


def _tokens(pieces: Iterator[str]) -> Iterator[tuple[str, str]]:
    for i, piece in enumerate(pieces):
        yield ("action" if i % 2 else "text", piece.strip() if i % 2 else piece)


def _parse(tokens: Iterator[tuple[str, str]]) -> tuple[list[Node], str]:
    """Nodes up to the end of the block, and the action that ended it."""
    nodes: list[Node] = []
    for kind, value in tokens:
        if kind == "text":
            nodes.append(Node(text=value))
        elif value == "end" or value.startswith("else"):
            return nodes, value
        elif value.startswith(("if ", "range ")):
            node, head = Node(loop=value.startswith("range ")), value.partition(" ")[2]
            while True:
                body, closed = _parse(tokens)
                node.branches.append((head, body))
                if closed == "end":
                    break
                head = closed.removeprefix("else").strip().removeprefix("if ") or "true"
            nodes.append(node)
        else:
            nodes.append(Node(action=value))
    return nodes, ""


def _run(nodes: Sequence[Node], dot: Any, scope: Scope) -> str:
    out = ""
    for node in nodes:
        if node.loop:
            head, body = node.branches[0]
            names, _, source = head.partition(":=")
            index, item = (name.strip() for name in names.split(","))
            for i, value in enumerate(_value(source.strip(), dot, scope)):
                out += _run(body, value, {**scope, index: i, item: value})
        elif node.branches:
            for condition, body in node.branches:
                if condition == "true" or _value(condition, dot, scope):
                    out += _run(body, dot, scope)
                    break
        elif node.action:
            out += str(_value(node.action, dot, scope))
        else:
            out += node.text
    return out


def _value(expression: str, dot: Any, scope: Scope) -> Any:
    words = re.findall(r'\(.*\)|"[^"]*"|\S+', expression)
    function, *arguments = words
    if not arguments:
        return _operand(function, dot, scope)
    values = [_value(word.removeprefix("(").removesuffix(")"), dot, scope) for word in arguments]
    match function:
        case "eq":
            return values[0] == values[1]
        case "le":
            return values[0] <= values[1]
        case "and":
            return next((value for value in values if not value), values[-1])
        case "not":
            return not values[0]
    raise AssertionError(expression)


def _operand(word: str, dot: Any, scope: Scope) -> Any:
    if word.startswith('"'):
        return word[1:-1]
    if word.isdigit():
        return int(word)
    if word.startswith("$."):
        return scope["$"][word[2:]]
    return scope[word] if word.startswith("$") else dot[word[1:]]
