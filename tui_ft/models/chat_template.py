"""Rendering a chat template the way transformers does, without loading transformers.

The environment (sandbox, globals, filters, `{% generation %}`) follows transformers'
`utils/chat_template_utils.py`; a test compares both on every template that trl ships. Templates come
with models, so they are untrusted: the sandbox is jinja2's immutable one and templates only ever see
plain JSON values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from tui_ft.errors import InputError
from tui_ft.text import excerpt

Span = tuple[int, int]

# Names under which a message's reasoning is passed; templates read the first, gpt-oss the second.
_REASONING = ("reasoning_content", "thinking", "reasoning")


class TemplateRefused(InputError):
    """The template raised on a conversation. `words` is what it said, e.g. "System role not supported"."""

    def __init__(self, words: str, *, fix: str = "") -> None:
        self.words = excerpt(words, 200)
        super().__init__(
            f"the chat template refuses this conversation: {self.words}", fix=fix or _way_out(words)
        )


def render(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    variables: Mapping[str, Any],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool = False,
) -> tuple[str, list[Span]]:
    """The conversation as text, and the character spans that `{% generation %}` blocks wrote.

    Equal to transformers' `apply_chat_template(tokenize=False)`; `variables` are the special tokens and
    whatever else the template should see. Raises TemplateRefused with the template's own words.
    """
    if not messages:
        raise InputError("the conversation is empty", fix="Give it at least one message.")
    recorder: tuple[list[str], list[Span]] = ([], [])
    token = _recorder.set(recorder)
    try:
        blocks, spans = recorder
        stream = _compiled(template).generate(
            **{
                "documents": None,
                **_plain(variables),
                "messages": [_message(message) for message in messages],
                "tools": _plain(tools),
                "add_generation_prompt": add_generation_prompt,
            }
        )
        blocks.extend(stream)
        return "".join(blocks), spans
    except InputError:
        raise
    # A template can raise anything: its own complaint, or a type error from inside an expression.
    except Exception as error:
        raise TemplateRefused(str(error) or type(error).__name__) from None
    finally:
        _recorder.reset(token)


def marks_generation(template: str) -> bool:
    """True when the template says by `{% generation %}` which text is the model's own."""
    return re.search(r"\{%-?\s*generation\s*-?%\}", template) is not None


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as templates expect it: no null fields, reasoning under its usual names."""
    if not isinstance(message, Mapping):
        raise InputError(
            f"a message is {type(message).__name__}, not an object", fix="It needs role and content."
        )
    plain = {key: _plain(value) for key, value in message.items() if value is not None}
    reasoning = next((plain[key] for key in _REASONING if plain.get(key) is not None), None)
    return plain if reasoning is None else {"thinking": reasoning, **plain, "reasoning_content": reasoning}


def _plain(value: Any) -> Any:
    """Only JSON values; anything else becomes a placeholder that has no methods to call."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    for scalar in (str, int, float):
        if isinstance(value, scalar):
            return getattr(scalar, f"__{scalar.__name__}__")(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return f"<{type(value).__name__}>"


# The blocks written so far and the spans found, for the rendering that is under way in this context.
_recorder: ContextVar[tuple[list[str], list[Span]]] = ContextVar("generation_recorder")


class _GenerationBlocks(Extension):
    """The tag `{% generation %}…{% endgeneration %}`: prints its body and records where it stands."""

    tags = {"generation"}  # noqa: RUF012 -- jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("record"), [], [], body).set_lineno(line)

    def record(self, caller: Callable[[], str]) -> str:
        text = caller()
        blocks, spans = _recorder.get()
        start = sum(map(len, blocks))
        spans.append((start, start + len(text)))
        return text


class _TemplateDict:
    """`dict(...)` in templates, without the attributes of the real type."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _TemplateNamespace(Namespace):
    """`namespace(...)` in templates; refuses underscore names, which would reach into Python."""

    # Positional-only through *args so that a template may have a variable called self.
    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *rest = args
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _refuse_underscore(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        super().__setitem__(name, value)


def _refuse_underscore(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a template may not set {name!r}")


def _raise_exception(message: str) -> None:
    raise jinja2.exceptions.TemplateError(message)


def _strftime_now(format: str) -> str:  # noqa: A002 -- the name templates may use
    return datetime.now().strftime(format)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without jinja2's HTML escapes."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=16)
def _compiled(template: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.update(
        raise_exception=_raise_exception,
        strftime_now=_strftime_now,
        dict=_TemplateDict(),
        namespace=_TemplateNamespace,
    )
    return environment.from_string(template)


def _way_out(words: str) -> str:
    lowered = words.lower()
    if "system" in lowered:
        return "This model takes no system message: put its text at the start of the first user message."
    if "alternate" in lowered or "user/assistant" in lowered:
        return "Turns must alternate between user and assistant: join neighbouring turns of the same role."
    return "Look at the roles and fields of this row; the model's own template decides which it takes."
