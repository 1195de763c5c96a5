"""A row as text for one model, and which characters of it are learned: answers with their stop token.

The template is rendered up to each answer, as at inference, and again with the answer; the difference,
up to the first stop token, is what the model should say there. An answer whose rendering changes once
more turns follow (templates that drop earlier reasoning) is left untrained, because the model would
never be asked for it in that form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_ft.data.rows import Message, Row
from tui_ft.errors import InputError
from tui_ft.models.chat_template import TemplateRefused
from tui_ft.text import count

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

Span = tuple[int, int]
Tools = Sequence[dict[str, Any]]


class Refused(InputError):
    """A row the model's template or tokenizer cannot write. `id` is the finding it counts towards."""

    def __init__(self, finding: str, what: str, *, fix: str = "") -> None:
        self.id = finding
        super().__init__(what, fix=fix)


@dataclass(frozen=True, slots=True)
class Layout:
    """A row as text; `spans` are the characters that are learned, in order.

    `concerns` are ids of findings this row counts towards, `note` says what is not as one might expect.
    """

    text: str
    spans: tuple[Span, ...]
    concerns: tuple[str, ...] = ()
    note: str = ""


def prompt_text(messages: Sequence[Message], tokenizer: ChatTokenizer, tools: Tools = ()) -> str:
    """What the model is given at inference, to answer these turns.

    Without a chat template this is the system text and the question, ended by a line break. Raises
    Refused when the template does not take the turns, or there is none and they are a conversation.
    """
    if tokenizer.has_template:
        return _render(messages, tokenizer, tools, prompt=True)
    if [turn["role"] for turn in messages] not in (["user"], ["system", "user"]):
        raise Refused(
            "no-chat-template",
            "the model has no chat template, so only single questions can be written",
            fix="Choose the instruct or chat version of the model.",
        )
    text = tokenizer.opening + "\n\n".join(turn["content"] for turn in messages)
    return text if text[-1:].isspace() else f"{text}\n"


def lay_out(row: Row, tokenizer: ChatTokenizer) -> Layout:
    """The text of a row and the answers in it. Raises Refused when it cannot be written."""
    if row.text is not None:
        text = tokenizer.opening + row.text + _eos(tokenizer)
        return Layout(text, ((len(tokenizer.opening), len(text)),))
    turns = row.dialogue
    if not tokenizer.has_template:
        prompt = prompt_text(turns[:-1], tokenizer)
        text = prompt + turns[-1]["content"] + _eos(tokenizer)
        return Layout(text, ((len(prompt), len(text)),))
    text = _render(turns, tokenizer, row.tools)
    answers = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
    spans = {i: span for i in answers if (span := _span(text, turns, i, tokenizer, row.tools))}
    concerns: list[str] = []
    if answers[-1] not in spans:
        text, spans = _reopened(text, turns, tokenizer, row.tools)
        concerns.append("answer-reopened")
    if not _ends_in_stop(text, spans[answers[-1]], tokenizer):
        text, spans, added = _stopped(text, spans, turns, tokenizer, row.tools)
        concerns += ["stop-added"] * added
    if any(not _says(text[slice(*span)], turns[i]) for i, span in spans.items()):
        concerns.append("answer-rewritten")
    if any(
        not _holds(text[slice(*span)], turns[i].get("reasoning_content", "")) for i, span in spans.items()
    ):
        concerns.append("reasoning-dropped")
    if not _names_tools(text, turns, row.tools):
        concerns.append("tools-dropped")
    if turns[0]["role"] == "system" and turns[0]["content"].strip() not in text:
        concerns.append("system-dropped")
    note = ""
    if len(spans) < len(answers):
        concerns.append("earlier-answers")
        note = f"{len(spans)} of {count(len(answers), 'answer')} trained: the template rewrites the others"
    return Layout(text, tuple(spans.values()), tuple(concerns), note)


def _render(turns: Sequence[Message], tokenizer: ChatTokenizer, tools: Tools, *, prompt: bool = False) -> str:
    """The turns as the template writes them. Raises Refused, naming the system message if it is to blame."""
    try:
        return tokenizer.render(turns, tools or None, prompt)
    except TemplateRefused as error:
        if turns[0]["role"] == "system" and _renders(turns[1:], tokenizer, tools):
            raise Refused(
                "system-refused",
                f"the chat template refuses system messages: {error.words}",
                fix="Move the system message into the first user turn.",
            ) from None
        raise Refused("template-refuses", error.what, fix=error.fix) from None


def _renders(turns: Sequence[Message], tokenizer: ChatTokenizer, tools: Tools) -> bool:
    try:
        tokenizer.render(turns, tools or None)
    except InputError:
        return False
    return True


def _span(text: str, turns: Sequence[Message], i: int, tokenizer: ChatTokenizer, tools: Tools) -> Span | None:
    """Where answer `i` stands in `text`; None unless everything up to its end reads as at inference."""
    before = _render(turns[:i], tokenizer, tools, prompt=True)
    after = text if i == len(turns) - 1 else _render(turns[: i + 1], tokenizer, tools)
    if not (text.startswith(before) and after.startswith(before)):
        return None
    begin = len(before)
    answer = _until_stop(after[begin:], turns[i]["content"], tokenizer)
    if not answer.strip() or not text.startswith(answer, begin):
        return None
    end = begin + len(answer)
    # Where a turn has no stop token of its own, the model stops by opening the next one.
    return begin, end + (
        0 if _ends_in_stop(text, (begin, end), tokenizer) else _stop_ahead(text, end, tokenizer)
    )


def _until_stop(written: str, content: str, tokenizer: ChatTokenizer) -> str:
    """An answer as written, up to and with the first stop token after its content."""
    content = content.strip()
    found = written.find(content)
    start = found + len(content) if found >= 0 else 0
    ends = [at + len(stop) for stop in _stops(tokenizer) if (at := written.find(stop, start)) >= 0]
    return written[: min(ends)] if ends else written.rstrip()


def _stop_ahead(text: str, at: int, tokenizer: ChatTokenizer) -> int:
    """Characters up to the end of a stop token that comes next in `text`, 0 when none does."""
    rest = text[at : at + 200]
    blank = len(rest) - len(rest.lstrip())
    return next((blank + len(stop) for stop in _stops(tokenizer) if rest.startswith(stop, blank)), 0)


def _reopened(
    text: str, turns: Sequence[Message], tokenizer: ChatTokenizer, tools: Tools
) -> tuple[str, dict[int, Span]]:
    """The prompt at inference with the last answer after it, for templates that open an answer otherwise
    than they write a finished one (DeepSeek-R1 opens with <think> and leaves it out afterwards)."""
    before = _render(turns[:-1], tokenizer, tools, prompt=True)
    shared = next((i for i, (a, b) in enumerate(zip(before, text, strict=False)) if a != b), len(text))
    content = turns[-1]["content"].strip()
    said = text.rfind(content) if content else -1
    answer = _until_stop(text[min(shared, said) if said >= 0 else shared :], content, tokenizer)
    return before + answer, {len(turns) - 1: (len(before), len(before) + len(answer))}


def _stopped(
    text: str, spans: dict[int, Span], turns: Sequence[Message], tokenizer: ChatTokenizer, tools: Tools
) -> tuple[str, dict[int, Span], bool]:
    """The text with a stop token after its last answer, and True when the template knows of none.

    Templates like GLM's end an answer by opening the next turn, which is what the model has to learn.
    """
    begin, end = spans[len(turns) - 1]
    continued = tokenizer.render([*turns, Message(role="user", content="-")], tools or None)
    ahead = _stop_ahead(continued, end, tokenizer) if continued.startswith(text[:end]) else 0
    stop = continued[end : end + ahead] or _eos(tokenizer)
    kept = {i: span for i, span in spans.items() if _ends_in_stop(text, span, tokenizer)}
    return text[:end] + stop, {**kept, len(turns) - 1: (begin, end + len(stop))}, not ahead


def _ends_in_stop(text: str, span: Span, tokenizer: ChatTokenizer) -> bool:
    return any(text.endswith(stop, *span) for stop in _stops(tokenizer))


def _stops(tokenizer: ChatTokenizer) -> Iterator[str]:
    return map(tokenizer.token, tokenizer.stop_ids)


def _says(written: str, turn: Message) -> bool:
    """True when the answer stands in what the template made of it, blank space aside."""
    return _holds(written, turn["content"])


def _holds(written: str, said: str) -> bool:
    said = said.strip()
    return said in written or "".join(said.split()) in "".join(written.split())


def _names_tools(text: str, turns: Sequence[Message], tools: Tools) -> bool:
    """True when every tool and every call is in the text by its name."""
    calls = [call for turn in turns for call in turn.get("tool_calls", [])]
    return all(str(tool.get("function", {}).get("name", "")) in text for tool in [*tools, *calls])


def _eos(tokenizer: ChatTokenizer) -> str:
    """The token that ends a text. Raises Refused when the tokenizer has none."""
    if tokenizer.eos_id is None:
        raise Refused("stop-not-trained", "the tokenizer has no end-of-text token, so no answer would end")
    return tokenizer.token(tokenizer.eos_id)
