"""llama.cpp in a process of its own: quantising, and answering for the check of a GGUF file.

    python -m tui_ft.export.llama REQUEST.json

A failed assertion inside llama.cpp ends the process it runs in; here that is nobody else's. The request
names the files to write to. Imports cyllama and numpy, no torch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cyllama.llama import llama_cpp

# enum llama_ftype of llama.h
FILE_TYPES: Mapping[str, int] = {"f16": 1, "q8_0": 7, "q4_k_m": 15}


def main(argv: Sequence[str]) -> int:
    """Do what the request file says; errors are raised."""
    request: dict[str, Any] = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    if request["do"] == "quantise":
        quantise(Path(request["source"]), Path(request["out"]), request["type"], request["threads"])
    else:
        found = Answering(Path(request["model"]), request["threads"]).look(
            request["texts"], request["rows"], request["stop_ids"]
        )
        np.save(request["logits"], found.pop("logits"))
        Path(request["out"]).write_text(json.dumps(found), encoding="utf-8")
    return 0


def quantise(source: Path, out: Path, kind: str, threads: int) -> None:
    """Write `source` again with smaller weights. Raises RuntimeError when llama.cpp refuses."""
    settings = llama_cpp.LlamaModelQuantizeParams()
    settings.ftype = FILE_TYPES[kind]
    settings.nthread = threads
    llama_cpp.model_quantize(str(source), str(out), settings)


class _Model(llama_cpp.LlamaModel):  # type: ignore[misc]
    """cyllama 0.2.18 reads the width of the logits from an attribute its own model class lacks."""

    @property
    def n_vocab(self) -> int:
        return int(self.get_vocab().n_vocab)


class Answering:
    """A GGUF model on the CPU, asked for tokens, logits and greedy answers."""

    def __init__(self, path: Path, threads: int, context: int = 2048) -> None:
        settings = llama_cpp.LlamaModelParams()
        settings.n_gpu_layers = 0
        settings.check_tensors = True
        self._model = _Model(str(path), settings)
        self._vocab = self._model.get_vocab()
        shape = llama_cpp.LlamaContextParams()
        shape.n_ctx = shape.n_batch = shape.n_ubatch = context
        shape.n_threads = shape.n_threads_batch = threads
        self._context = llama_cpp.LlamaContext(self._model, shape)
        self._capacity = context

    def look(
        self,
        texts: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
        stop_ids: Sequence[int],
    ) -> dict[str, Any]:
        """Everything a check needs.

        `rows` have `ids`, `first` and `most`: logits are those that predict `ids[first:]`, stacked over rows
        to (tokens, vocabulary). Greedy answers continue `ids[:first]` by at most `most` tokens.
        """
        answers = [self._answer(row["ids"][: row["first"]], row["most"]) for row in rows]
        return {
            "tokens": [list(self._vocab.tokenize(text, False, True)) for text in texts],
            "stops_known": [bool(self._vocab.is_eog(token)) for token in stop_ids],
            "answers": [ids for ids, _ in answers],
            "stopped": [stopped for _, stopped in answers],
            "adds_bos": bool(self._vocab.get_add_bos()),
            "has_template": bool(self._model.get_default_chat_template()),
            "logits": np.concatenate([self._logits(row["ids"], row["first"]) for row in rows]),
        }

    def _logits(self, ids: Sequence[int], first: int) -> np.ndarray[Any, Any]:
        self._context.kv_cache_clear()
        self._decode(ids[:-1], 0, first - 1)
        return np.stack(
            [
                np.asarray(self._context.get_logits_ith(spot), dtype=np.float32)
                for spot in range(first - 1, len(ids) - 1)
            ]
        )

    def _answer(self, prompt: Sequence[int], most: int) -> tuple[list[int], bool]:
        """The greedy answer without its stop token, and whether one ended it."""
        self._context.kv_cache_clear()
        self._decode(prompt, 0, len(prompt) - 1)
        spot = len(prompt) - 1
        said: list[int] = []
        for place in range(len(prompt), len(prompt) + most):
            token = int(np.argmax(self._context.get_logits_ith(spot)))
            if self._vocab.is_eog(token):
                return said, True
            said.append(token)
            self._decode([token], place, 0)
            spot = 0
        return said, False

    def _decode(self, ids: Sequence[int], place: int, wanted: int) -> None:
        """Feed tokens that stand at `place` and after; logits are kept from index `wanted` on."""
        batch = llama_cpp.LlamaBatch(n_tokens=self._capacity, embd=0, n_seq_max=1)
        for i, token in enumerate(ids):
            batch.add(token, place + i, [0], i >= wanted)
        self._context.decode(batch)


if __name__ == "__main__":
    llama_cpp.disable_logging()
    sys.exit(main(sys.argv[1:]))
