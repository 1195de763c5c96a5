"""Checks a GGUF file against what it does not belong to; run as a child process because it loads torch.

python gguf_child.py RUN_DIR
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tui_ft.evaluation.rows import sample
from tui_ft.export import gguf_check, merge
from tui_ft.export.gguf_check import Reference
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.runs.folder import RunFolder


def main(folder: RunFolder) -> dict[str, list[str]]:
    """Each way file and merged model can be at odds, with the measures that do not hold."""
    base, merged = Path(folder.read_plan().model_folder), folder.exports / "merged"
    notes = json.loads((folder.exports / "gguf-f16" / "check.json").read_text())["notes"]
    path = folder.exports / "gguf-f16" / notes["file"]
    tokenizer = ChatTokenizer.load(base)
    asked = gguf_check.prompts(sample(folder, tokenizer, seq_len=256, most=2), tokenizer)
    untuned = merge.load(base, torch.float32)

    def reference(model: Any) -> Reference:
        return gguf_check.ask_merged(model, lambda: untuned, asked, tokenizer)

    def failing(of: Reference, reader: Any) -> list[str]:
        measures, _ = gguf_check.measure(path, "f16", of, reader, scratch)
        return [measure.name for measure in measures if measure.gates and not measure.passed]

    scratch = folder.path / "scratch"
    scratch.mkdir()
    right = reference(merge.load(merged, torch.float32))
    moved = tuple(replace(prompt, text=prompt.text.replace(" ", "  ", 1)) for prompt in asked)
    return {
        "nothing": failing(right, tokenizer),
        "other weights": failing(reference(untuned), tokenizer),
        "other tokenizer": failing(
            replace(right, prompts=moved),
            _OtherReader(tokenizer, {prompt.text: list(prompt.ids) for prompt in moved}),
        ),
        "other stop": failing(right, replace(tokenizer, stop_ids=(*tokenizer.stop_ids, 1000))),
    }


class _OtherReader:
    """A tokenizer that reads some texts as other tokens than llama.cpp does."""

    def __init__(self, tokenizer: ChatTokenizer, other: dict[str, list[int]]) -> None:
        self._tokenizer = tokenizer
        self._other = other

    @property
    def stop_ids(self) -> tuple[int, ...]:
        return self._tokenizer.stop_ids

    def encode(self, text: str) -> tuple[list[int], Any]:
        return (self._other[text], None) if text in self._other else self._tokenizer.encode(text)


if __name__ == "__main__":
    json.dump(main(RunFolder(Path(sys.argv[1]))), sys.stdout)
