"""One row as the model sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import WriteRows
from tests.data.samples import pairs
from tui_ft.data.preview import Piece, Preview, as_text, previews
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data


def look(path: Path, tokenizer: ChatTokenizer | None, **more: Any) -> list[Preview]:
    return previews(Data(path=path.name), base=path.parent, tokenizer=tokenizer, **more)


def test_read_and_learned_text_are_told_apart(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    row = pairs(1)[0]
    (shown,) = look(write_rows(pairs(3)), chatml)
    assert shown.pieces == (
        Piece(f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n", "read"),
        Piece(f"{row['completion']}<|im_end|>", "learned"),
        Piece("\n", "read"),
    )
    assert shown.tokens is not None
    assert shown.learned is not None
    assert 0 < shown.learned < shown.tokens
    assert (shown.file, shown.line, shown.cut) == ("rows.jsonl", 1, 0)


def test_what_the_limit_cuts_is_shown(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    whole = look(write_rows(pairs(1)), chatml)[0]
    assert whole.tokens is not None
    assert whole.learned is not None
    (shown,) = look(write_rows(pairs(1)), chatml, seq_len=whole.tokens - 5)
    assert (shown.cut, shown.learned, shown.tokens) == (5, whole.learned - 4, whole.tokens)
    assert shown.pieces[-1].state == "cut"
    assert "".join(piece.text for piece in shown.pieces) == "".join(piece.text for piece in whole.pieces)


def test_any_row_can_be_looked_at(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = [*pairs(3), {"prompt": "Hi", "completion": ""}, *pairs(5)[3:]]
    path = write_rows(rows)
    assert [shown.line for shown in look(path, chatml, start=2, count=3)] == [3, 5, 6]
    assert look(path, chatml, start=99) == []


def test_without_a_model_the_turns_are_shown(write_rows: WriteRows) -> None:
    (shown,) = look(write_rows([{"prompt": "Hi", "completion": "Hello"}]), None)
    assert as_text(shown.pieces) == "user\nHi\n\nassistant\n[[Hello]]\n\n"
    assert shown.tokens is None
    assert shown.note == "Choose a model to see tokens."


def test_a_row_the_model_cannot_write_says_why(write_rows: WriteRows, base_model: ChatTokenizer) -> None:
    turns = [{"role": role, "content": role} for role in ("user", "assistant") * 2]
    (shown,) = look(write_rows([{"messages": turns}]), base_model)
    assert "no chat template" in shown.note


@pytest.mark.parametrize("state", ["read", "learned", "cut"])
def test_text_from_data_is_made_harmless(state: str) -> None:
    pieces = [Piece("a\x1b]52;c;evil\x07b\nc", state)]  # type: ignore[arg-type]
    assert "\x1b" not in as_text(pieces)
    assert "b\nc" in as_text(pieces)
