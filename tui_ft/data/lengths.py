"""How long rows are in tokens, without rendering and encoding each of them.

Conversations with the same roles are written by a template in the same way around what is said, so one
of them, with a mark in place of each text, shows where the texts go (a `_Skeleton`). Their tokens are
counted by `TokenCounter`. Rows for which this might not hold are left to the tokenizer: those with tools or
reasoning, with text that the template or the tokenizer looks for, or with blanks around an answer.

It is a claim about a template and a tokenizer, not a proof: `trusted_ruler` compares with the exact way
first, and whoever measures many rows goes on comparing some of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tui_ft.data.gather import Scope
from tui_ft.data.layout import Layout, lay_out
from tui_ft.data.masks import LossOn
from tui_ft.data.observers import Measure, measured
from tui_ft.data.rows import Message, Row
from tui_ft.data.stream import Input, Judged, encoded, judge_raw
from tui_ft.errors import InputError
from tui_ft.models.token_count import TokenCounter
from tui_ft.models.tokenizer import ChatTokenizer

# What templates and tokenizers look for in a text stands in brackets.
_TAGS = re.compile(r"[<\[][^\s'\"<>\[\]]{2,}[>\]]")
# Concerns that depend on what is said, not only on who speaks.
_BY_CONTENT = frozenset({"system-dropped", "tools-dropped", "answer-rewritten", "prompt-differs"})
_MOST_SKELETONS = 500
_TEXT = ("text",)


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch between control tokens: texts as they are, or the numbers of turns that stand there.

    `tokens` is known where no turn is part of it.
    """

    parts: tuple[str | int, ...]
    learned: bool
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """How conversations with certain roles are written. `answers` are the turns that begin a learned stretch.

    `blanks` says what becomes of blanks around a turn: "kept", "stripped", or "" for neither throughout.
    """

    runs: tuple[_Run, ...]
    answers: tuple[int, ...]
    blanks: str
    concerns: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class _Fit:
    """A row that is written like a skeleton, and its texts."""

    skeleton: _Skeleton
    texts: Sequence[str]

    def stretches(self) -> Iterator[str]:
        """The texts between control tokens that hold what is said."""
        for run in self.skeleton.runs:
            if run.tokens is None:
                yield "".join([part if isinstance(part, str) else self.texts[part] for part in run.parts])


class Ruler:
    """Measures rows for one model and one length limit. Can be sent to another process."""

    def __init__(self, tokenizer: ChatTokenizer, limit: int | None) -> None:
        self._tokenizer = tokenizer
        self.limit = limit
        self._counter = TokenCounter(tokenizer)
        self._control = tokenizer.control_tokens()
        tags = {tag for text in tokenizer.templates.values() for tag in _TAGS.findall(text)}
        told = sorted({*self._control, *tags} - {""}, key=len, reverse=True)
        self._told = re.compile("|".join(map(re.escape, told))) if told else None
        self._begins = "".join(sorted({tag[0] for tag in told}))
        self._skeletons: dict[tuple[str, ...], _Skeleton | None] = {}

    def measure(self, batch: Iterable[Judged]) -> list[Judged]:
        """The same with their measures, where this way of measuring holds."""
        rows = list(batch)
        fitted = [None if judged.row is None else self._fit(judged.row) for judged in rows]
        counts = iter(self._counter.count([text for fit in fitted if fit for text in fit.stretches()]))
        return [
            judged if fit is None else _measured_as(judged, self._sum(fit.skeleton, counts))
            for judged, fit in zip(rows, fitted, strict=True)
        ]

    def _fit(self, row: Row) -> _Fit | None:
        """How a row is written, None when it has to be encoded."""
        turns = row.dialogue
        if row.tools or any(len(turn) != 2 for turn in turns):
            return None
        texts = [row.text] if row.text is not None else [turn["content"] for turn in turns]
        roles = _TEXT if row.text is not None else tuple([turn["role"] for turn in turns])
        if self._told is not None and any(self._is_told(text) for text in texts):
            return None
        skeleton = self._skeletons.get(roles)
        if skeleton is None and (roles in self._skeletons or not (skeleton := self._learn(roles))):
            return None
        bare = [text.strip() for text in texts]
        if not all(bare):
            return None
        if skeleton.blanks == "stripped":
            return _Fit(skeleton, bare)
        if texts != bare and (not skeleton.blanks or any(texts[i][0].isspace() for i in skeleton.answers)):
            return None
        return _Fit(skeleton, texts)

    def _is_told(self, text: str) -> bool:
        if len(self._begins) <= 8 and not any(begin in text for begin in self._begins):
            return False
        return self._told is not None and self._told.search(text) is not None

    def _sum(self, skeleton: _Skeleton, counts: Iterator[int]) -> Measure:
        limit = self.limit
        tokens = learned = needed = kept = 0
        prompt = -1
        for run in skeleton.runs:
            number = run.tokens if run.tokens is not None else next(counts)
            if run.learned:
                prompt = tokens if prompt < 0 else prompt
                learned += number
                needed = tokens + number
                kept += number if limit is None else max(0, min(number, limit - tokens))
            tokens += number
        return Measure(tokens, learned, needed, prompt, kept, skeleton.concerns, skeleton.note)

    def _learn(self, roles: tuple[str, ...]) -> _Skeleton | None:
        if len(self._skeletons) >= _MOST_SKELETONS:
            return None
        self._skeletons[roles] = found = self._skeleton(roles)
        return found

    def _skeleton(self, roles: tuple[str, ...]) -> _Skeleton | None:
        layout, padded = self._laid_out(roles, ""), self._laid_out(roles, " \n")
        if layout is None or _BY_CONTENT & set(layout.concerns):
            return None
        numbers = range(len(roles))
        if any(layout.text.count(_mark(i)) != 1 for i in numbers):
            return None
        cuts = self._cuts(layout)
        if cuts is None:
            return None
        runs: list[_Run] = []
        for begin, end in pairwise(cuts):
            text = layout.text[begin:end]
            parts = tuple(_parts(text))
            known = None if any(isinstance(part, int) for part in parts) else self._tokens(text)
            is_learned = any(first <= begin and end <= last for first, last in layout.spans)
            runs.append(_Run(parts, is_learned, known))
        answers = tuple(
            i for i in numbers if layout.text.index(_mark(i)) in {first for first, _ in layout.spans}
        )
        blanks = ""
        if padded is not None:
            bare = padded.text.replace(" \n\ue000", "\ue000").replace("\ue001 \n", "\ue001")
            if padded.text == layout.text:
                blanks = "stripped"
            elif bare == layout.text and all(f" \n{_mark(i)} \n" in padded.text for i in numbers):
                blanks = "kept"
        return _Skeleton(tuple(runs), answers, blanks, layout.concerns, layout.note)

    def _laid_out(self, roles: tuple[str, ...], around: str) -> Layout | None:
        texts = [f"{around}{_mark(i)}{around}" for i in range(len(roles))]
        if roles == _TEXT:
            row = Row("", "", 1, text=texts[0])
        else:
            turns = zip(roles, texts, strict=True)
            row = Row("", "", 1, tuple(Message(role=role, content=text) for role, text in turns))
        try:
            return lay_out(row, self._tokenizer)
        except InputError:
            return None

    def _cuts(self, layout: Layout) -> list[int] | None:
        """Where tokens begin for certain: around control tokens and where answers begin; None when unsure."""
        if not self._control:
            return None
        text = layout.text
        pattern = re.compile("|".join(map(re.escape, sorted(self._control, key=len, reverse=True))))
        around = {edge for found in pattern.finditer(text) for edge in found.span()} | {0, len(text)}
        for first, last in layout.spans:
            clean = text[first - 1 : first] == "\n" and text.startswith("\ue000", first)
            if last not in around or not (first in around or clean):
                return None
        return sorted(around | {first for first, _ in layout.spans})

    def _tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text)[0])


def trusted_ruler(scope: Scope, inputs: Sequence[Input]) -> Ruler | None:
    """A ruler that measures the rows looked at first exactly as they are encoded; None when it does not."""
    if scope.tokenizer is None or scope.loss_on in ("pairs", "verdicts"):
        return None  # it knows where all answers of a conversation stand, not which one is judged
    ruler = Ruler(scope.tokenizer, scope.seq_len)
    for given in inputs:
        quick = ruler.measure(judge_raw(given.looked_at, given, scope.data))
        quick = [judged for judged in quick if judged.measure is not None]
        if not all_exact(quick, scope.tokenizer, scope.loss_on, scope.seq_len):
            return None
    return ruler


def all_exact(quick: Sequence[Judged], tokenizer: ChatTokenizer, loss_on: LossOn, limit: int | None) -> bool:
    """Whether these measures are those of the rows as they are encoded."""
    exact = encoded([replace(judged, measure=None) for judged in quick], tokenizer, loss_on)
    return all(
        one.encoded is not None and measured(one.encoded, limit) == other.measure
        for one, other in zip(exact, quick, strict=True)
    )


def _measured_as(judged: Judged, measure: Measure) -> Judged:
    # dataclasses.replace would take as long as measuring.
    return Judged(
        judged.part, judged.row, judged.fault, None, judged.as_json, judged.marks, judged.traits, measure
    )


def _mark(number: int) -> str:
    return f"\ue000{number}\ue001"


def _parts(text: str) -> Iterator[str | int]:
    """The texts and the turns' numbers that a stretch is made of."""
    for at, part in enumerate(re.split("\ue000(\\d+)\ue001", text)):
        if at % 2:
            yield int(part)
        elif part:
            yield part
