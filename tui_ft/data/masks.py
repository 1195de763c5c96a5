"""Which tokens are learned from. A token is trained when it lies inside a learned span of characters.

`prove` checks the result the long way round; tests run it on every template at hand, and a dataset check
on a sample of its rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from tui_ft.data.layout import Layout, Refused, Span, lay_out, prompt_text
from tui_ft.data.rows import Row, Unusable
from tui_ft.errors import InputError
from tui_ft.recipe import Objective

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

# "pairs": the last answer, against the one that was rejected; "verdicts": the last answer, good or bad.
LossOn = Literal["answers", "all", "pairs", "verdicts"]
Tokens = tuple[list[int], list[Span]]
_END = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as the model reads it.

    `spans` are the characters of `text` that are learned, `runs` the tokens as (first, one past the
    last); `trained` says so for each token of `ids`. `rejected` is the same for the answer that was
    rejected, where pairs are learned.
    `concerns` are ids of findings this row counts towards, `note` is for the reader of a preview.
    """

    row_id: str
    text: str
    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    spans: tuple[Span, ...] = ()
    runs: tuple[Span, ...] = ()
    concerns: tuple[str, ...] = ()
    note: str = ""
    rejected: Encoded | None = None

    @property
    def learned(self) -> int:
        """Number of tokens that are learned from."""
        return sum(end - begin for begin, end in self.runs)

    @property
    def needed(self) -> int:
        """Tokens up to and with the last one that is learned; a shorter limit cuts the answer."""
        return self.runs[-1][1] if self.runs else 0

    @property
    def prompt_length(self) -> int:
        """Tokens before the first one that is learned; with this limit nothing is learned."""
        return self.runs[0][0] if self.runs else len(self.ids)


def loss_of(objective: Objective, loss_on: Literal["answers", "all"] = "answers") -> LossOn:
    """What is learned of a row for this objective."""
    by_objective: dict[str, LossOn] = {"cpt": "all", "dpo": "pairs", "orpo": "pairs", "kto": "verdicts"}
    return by_objective.get(objective, loss_on)


def encode(row: Row, tokenizer: ChatTokenizer, *, loss_on: LossOn = "answers") -> Encoded:
    """The tokens of a row and which of them are learned. Raises Refused when it cannot be written."""
    layout = lay_out(row, tokenizer)
    encoded = _encoded(row, layout, tokenizer.encode(layout.text), tokenizer, loss_on)
    if loss_on != "pairs":
        return encoded
    return replace(encoded, rejected=encode(_worse(row), tokenizer, loss_on="verdicts"))


def _worse(row: Row) -> Row:
    """The pair with the rejected answer in place of the chosen one. Raises Refused when it is none."""
    if row.rejected is None:
        raise Refused("missing-field", "is no pair of a chosen and a rejected answer")
    return replace(row, chosen=row.rejected, rejected=None)


def _encoded(row: Row, layout: Layout, tokens: Tokens, tokenizer: ChatTokenizer, loss_on: LossOn) -> Encoded:
    spans = ((0, len(layout.text)),) if loss_on == "all" else layout.spans
    if loss_on in ("pairs", "verdicts"):
        spans = spans[-1:]
    ids, runs, joined = _masked(layout.text, spans, tokens, tokenizer)
    trained = [False] * len(ids)
    for begin, end in runs:
        trained[begin:end] = [True] * (end - begin)
    concerns = layout.concerns if joined else (*layout.concerns, "prompt-differs")
    return Encoded(row.id, layout.text, tuple(ids), tuple(trained), spans, tuple(runs), concerns, layout.note)


def encode_rows(
    rows: Sequence[Row], tokenizer: ChatTokenizer, *, loss_on: LossOn = "answers"
) -> Iterator[Encoded | Unusable]:
    """As `encode`, for many rows in parallel; a row that cannot be written comes back as Unusable."""
    if loss_on == "pairs":
        yield from _encode_pairs(rows, tokenizer)
        return
    layouts = [_try_layout(row, tokenizer) for row in rows]
    texts = [layout.text for layout in layouts if isinstance(layout, Layout)]
    tokens = iter(tokenizer.encode_batch_spans(texts))
    for row, layout in zip(rows, layouts, strict=True):
        if isinstance(layout, Layout):
            yield _encoded(row, layout, next(tokens), tokenizer, loss_on)
        else:
            yield layout


def _encode_pairs(rows: Sequence[Row], tokenizer: ChatTokenizer) -> Iterator[Encoded | Unusable]:
    """The chosen answers with the rejected ones beside them, each after the same prompt."""
    pairs = [row for row in rows if row.rejected is not None]
    chosen = encode_rows(pairs, tokenizer, loss_on="verdicts")
    rejected = encode_rows([_worse(row) for row in pairs], tokenizer, loss_on="verdicts")
    for row in rows:
        if row.rejected is None:
            yield Unusable(
                "missing-field", row.file, row.line, "is no pair of a chosen and a rejected answer"
            )
            continue
        good, bad = next(chosen), next(rejected)
        if isinstance(good, Unusable) or isinstance(bad, Unusable):
            yield good if isinstance(good, Unusable) else bad
        else:
            yield replace(good, rejected=bad)


def _try_layout(row: Row, tokenizer: ChatTokenizer) -> Layout | Unusable:
    try:
        return lay_out(row, tokenizer)
    except Refused as error:
        return Unusable(error.id, row.file, row.line, error.what)
    except InputError as error:
        return Unusable("template-refuses", row.file, row.line, error.what)


def prove(encoded: Encoded, row: Row, tokenizer: ChatTokenizer) -> tuple[str, ...]:
    """What is wrong with a row encoded for loss on answers, found another way than it was made.

    Every answer trained ends in a stop token; the text begins with one BOS at most; the trained tokens
    read as the answers and nothing else; and the tokens before each answer are exactly those of the
    prompt at inference. Empty when all of it holds.
    """
    wrong: list[str] = []
    bos = tokenizer.bos_id
    if bos is not None and encoded.ids[:2] == (bos, bos):
        wrong.append("begins with two BOS tokens")
    runs = trained_runs(encoded.trained)
    if len(runs) != len(encoded.spans):
        wrong.append(f"{len(encoded.spans)} answers but {len(runs)} trained runs of tokens")
    for (begin, end), (start, stop) in zip(runs, encoded.spans, strict=False):
        if encoded.ids[end - 1] not in tokenizer.stop_ids:
            wrong.append(f"token {end}, the last of a trained run, is no stop token")
        if tokenizer.decode(encoded.ids[begin:end]).strip() != encoded.text[start:stop].strip():
            wrong.append("the trained tokens do not read as the answer")
    if row.text is None:
        turns = row.dialogue
        answers = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
        prompts = [tokenizer.encode(prompt_text(turns[:i], tokenizer, row.tools))[0] for i in answers]
        wrong += [
            f"the {begin} tokens before an answer are not the prompt at inference"
            for begin, _ in runs
            if list(encoded.ids[:begin]) not in prompts
        ]
    return tuple(wrong)


def trained_runs(trained: Sequence[bool]) -> list[Span]:
    """Where trained tokens stand, as (first, one past the last)."""
    edges = [i for i, (a, b) in enumerate(pairwise((False, *trained, False))) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _masked(
    text: str, spans: Sequence[Span], tokens: Tokens, tokenizer: ChatTokenizer
) -> tuple[list[int], list[Span], bool]:
    """Ids, the runs that are learned, and False when a prompt's tokens are not those at inference."""
    ids, offsets = tokens
    doubtful = [start for start, _ in spans if start and not _clean_cut(text, start)]
    broken = [start for start in doubtful if not _begins_with(ids, tokenizer.encode(text[:start])[0])]
    joined = True
    if broken:
        pieces = _encode_pieces(text, broken, tokenizer)
        # A tokenizer that marks the beginning of each text would mark it in the middle of this one.
        if joined := tokenizer.decode(pieces[0]) == tokenizer.decode(ids):
            ids, offsets = pieces
    runs: list[Span] = []
    for start, end in spans:
        # By their ends: some tokenizers give a line break before the answer an empty span inside it.
        begin = bisect_right(offsets, start, key=_END)
        if begin < len(ids) and offsets[begin][0] < start:
            begin += 1
        stop = bisect_right(offsets, end, key=_END)
        if begin < stop:
            runs.append((begin, stop))
    return ids, runs, joined


def _clean_cut(text: str, at: int) -> bool:
    """True where no tokenizer joins both sides: a line break before something that is not blank."""
    return text[at - 1] == "\n" and not text[at : at + 1].isspace()


def _begins_with(ids: Sequence[int], prefix: Sequence[int]) -> bool:
    return list(ids[: len(prefix)]) == list(prefix)


def _encode_pieces(text: str, cuts: Sequence[int], tokenizer: ChatTokenizer) -> Tokens:
    """Tokens of the text cut at these characters, as when the model goes on from each prompt."""
    ids: list[int] = []
    offsets: list[Span] = []
    for start, end in pairwise([0, *cuts, len(text)]):
        more, places = tokenizer.encode(text[start:end])
        ids += more
        offsets += [(first + start, last + start) for first, last in places]
    return ids, offsets
