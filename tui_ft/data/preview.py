"""One row as the model will see it, with the text it learns told apart from the text it only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_ft.data.masks import Encoded, LossOn
from tui_ft.data.rows import Row
from tui_ft.data.stream import judge, open_inputs
from tui_ft.recipe import Data
from tui_ft.text import excerpt, sanitize

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

State = Literal["read", "learned", "cut"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text in one state: only read, learned, or cut off by the length limit. Not sanitised."""

    text: str
    state: State


@dataclass(frozen=True, slots=True)
class Preview:
    """A row for the screen. Token counts are None without a tokenizer."""

    file: str
    line: int
    pieces: tuple[Piece, ...]
    tokens: int | None = None
    learned: int | None = None
    cut: int = 0
    note: str = ""


def previews(
    data: Data,
    *,
    base: Path,
    tokenizer: ChatTokenizer | None = None,
    seq_len: int | None = None,
    loss_on: LossOn = "answers",
    start: int = 0,
    count: int = 1,
) -> list[Preview]:
    """The usable rows of the main files from number `start` (0-based), `count` of them.

    Raises as `check` does.
    """
    main = [given for given in open_inputs(data, base) if given.part == "main"]
    usable = (judged for judged in judge(main, data, loss_on=loss_on) if judged.row is not None)
    chosen = [judged.row for judged in islice(usable, start, start + count) if judged.row is not None]
    if tokenizer is None:
        return [_plain(row) for row in chosen]
    from tui_ft.data.masks import encode_rows

    encodings = encode_rows(chosen, tokenizer, loss_on=loss_on)
    return [
        _with_opposite(preview(row, encoded, tokenizer, seq_len), row, loss_on)
        if isinstance(encoded, Encoded)
        else _refused(row, encoded.what)
        for row, encoded in zip(chosen, encodings, strict=True)
    ]


def preview(row: Row, encoded: Encoded, tokenizer: ChatTokenizer, seq_len: int | None = None) -> Preview:
    """An encoded row as runs of text, read back from its tokens."""
    limit = len(encoded.ids) if seq_len is None else seq_len
    states = [
        "cut" if i >= limit else "learned" if trained else "read" for i, trained in enumerate(encoded.trained)
    ]
    pieces: list[Piece] = []
    begin = 0
    for state, run in groupby(states):
        end = begin + len(list(run))
        pieces.append(Piece(tokenizer.decode(encoded.ids[begin:end]), _state(state)))
        begin = end
    learned = states.count("learned")
    return Preview(
        row.file, row.line, tuple(pieces), len(encoded.ids), learned, states.count("cut"), encoded.note
    )


def _with_opposite(shown: Preview, row: Row, loss_on: LossOn) -> Preview:
    """The preview with a word on what a preference adds to the text."""
    if loss_on == "pairs" and row.rejected is not None:
        return replace(shown, note=f"Preferred to: {excerpt(row.rejected, 300)}")
    if loss_on == "verdicts" and row.label is not None:
        kind = "good: it is to become likelier" if row.label else "bad: it is to become less likely"
        return replace(shown, note=f"Marked as {kind}")
    return shown


def as_text(
    pieces: Sequence[Piece], *, learned: tuple[str, str] = ("[[", "]]"), cut: tuple[str, str] = ("~~", "~~")
) -> str:
    """The pieces as one sanitised text with marks around what is learned and what is cut."""
    marks = {"read": ("", ""), "learned": learned, "cut": cut}
    return "".join(
        f"{marks[piece.state][0]}{sanitize(piece.text, multiline=True)}{marks[piece.state][1]}"
        for piece in pieces
    )


def _plain(row: Row) -> Preview:
    """The turns of a row before any template is known."""
    if row.text is not None:
        return Preview(row.file, row.line, (Piece(row.text, "learned"),))
    pieces: list[Piece] = []
    for turn in row.dialogue:
        answer = turn["role"] == "assistant"
        pieces.append(Piece(f"{turn['role']}\n", "read"))
        said = turn["content"] or ", ".join(call["function"]["name"] for call in turn.get("tool_calls", []))
        pieces.append(Piece(said, "learned" if answer else "read"))
        pieces.append(Piece("\n\n", "read"))
    return Preview(row.file, row.line, tuple(pieces), note="Choose a model to see tokens.")


def _refused(row: Row, why: str) -> Preview:
    return Preview(row.file, row.line, _plain(row).pieces, note=why)


def _state(name: str) -> State:
    return "learned" if name == "learned" else "cut" if name == "cut" else "read"
