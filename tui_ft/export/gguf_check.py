"""Proof that a GGUF file answers like the merged model. Child processes only: imports torch.

The merged model answers some prompts in Hugging Face's code; llama.cpp then reads the same prompts and
answers. What is compared: the tokens of the same text, the distributions along the same answers, and
whether answers end where they should.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tui_ft.errors import InputError
from tui_ft.evaluation.generate import Generated, greedy
from tui_ft.evaluation.rows import UnseenRow
from tui_ft.export.check import Measure
from tui_ft.export.gguf import llama
from tui_ft.export.targets import Quantisation
from tui_ft.export.verify import Compared, logits
from tui_ft.models.tokenizer import ChatTokenizer

_LONGEST_PROMPT = 1024
LONGEST = 48  # tokens of an answer that are compared
PROMPTS = 4  # enough to see breakage; llama.cpp answers them on the processor, at a token a second for 8B

# Texts on which tokenizers that are almost the same differ: spaces, digits, accents, other scripts, code.
PROBES = (
    "two  spaces,\ttab\n\n\nthree lines   ",
    "1234567890 3.14159 2026-11-22 £1,000.50",
    "naïve café, ÅNGSTRÖM, ﬁne, don't, I'LL",
    "漢字とかな 한국어 العربية हिन्दी 🙂👩‍👩‍👧",
    "def f(x):\n    return {'a': [x, \"b\"]}  # ok",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something to ask: the text as the template writes it, and its tokens."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a quantisation may change along the merged model's own answers."""

    kl: float  # mean, in nats per token
    agreement: float  # share of decided tokens that stay the same
    why: str


LIMITS: dict[Quantisation, Limits] = {
    "f16": Limits(0.005, 0.99, "F16 holds almost every bf16 weight exactly; only the arithmetic differs"),
    "q8_0": Limits(0.05, 0.97, "Q8_0 keeps 8 bits of each weight"),
    "q4_k_m": Limits(
        0.5, 0.85, "Q4_K_M keeps 4 to 6 bits of each weight, which small models feel more than large ones"
    ),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """What the merged model says to the prompts. `logits` is (answer tokens of all prompts, vocabulary)."""

    prompts: tuple[Prompt, ...]
    answers: tuple[Generated, ...]
    logits: torch.Tensor
    kl_base: float  # of merged against base along the same answers

    def rows(self) -> list[tuple[list[int], int]]:
        """Tokens of prompt and answer, and where the answer begins; the stop token is part of it."""
        return [_row(prompt, answer) for prompt, answer in zip(self.prompts, self.answers, strict=True)]


def _row(prompt: Prompt, answer: Generated) -> tuple[list[int], int]:
    stop = [] if answer.stop is None else [answer.stop]
    return [*prompt.ids, *answer.ids, *stop], len(prompt.ids)


def prompts(rows: Sequence[UnseenRow], tokenizer: ChatTokenizer) -> list[Prompt]:
    """Prompts from rows: what the model is asked, or the first half of a plain text."""
    found = []
    for row in rows:
        text = row.prompt_text or tokenizer.decode(row.input_ids[: len(row.input_ids) // 2])
        ids = tokenizer.encode(text)[0]
        if 0 < len(ids) <= _LONGEST_PROMPT:
            found.append(Prompt(text, tuple(ids)))
    if not found:
        raise InputError(
            f"every row is longer than {_LONGEST_PROMPT} tokens, so a GGUF file cannot be checked",
            fix="Serve the merged model with vLLM instead.",
        )
    return found[:PROMPTS]


def ask_merged(
    merged: Any,
    base: Callable[[], Any],
    prompts: Sequence[Prompt],
    tokenizer: ChatTokenizer,
    check: Callable[[], None] = lambda: None,
) -> Reference:
    """The merged model's answers and logits; `base` loads the base, whose distance is the yardstick."""
    pad = tokenizer.pad_id if tokenizer.pad_id is not None else tokenizer.stop_ids[0]
    with torch.inference_mode():
        answers = greedy(
            merged,
            [prompt.ids for prompt in prompts],
            stop_ids=tokenizer.stop_ids,
            pad_id=pad,
            max_new_tokens=LONGEST,
            check=check,
        )
        rows = [_row(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        mine = [_along(merged, *row) for row in rows]
        untuned = Compared()
        model = base()
        for row, own in zip(rows, mine, strict=True):
            check()
            untuned.add(own, _along(model, *row))
    return Reference(tuple(prompts), tuple(answers), torch.cat(mine), untuned.result().kl)


def _along(model: Any, ids: Sequence[int], first: int) -> torch.Tensor:
    return logits(model, ids)[first - 1 : -1]


def measure(
    path: Path,
    kind: Quantisation,
    reference: Reference,
    tokenizer: ChatTokenizer,
    scratch: Path,
    check: Callable[[], None] = lambda: None,
) -> tuple[tuple[Measure, ...], dict[str, Any]]:
    """Hold a GGUF file against the merged model: measures, and facts without a limit.

    Raises RunFailed when llama.cpp cannot load or run it.
    """
    texts = [*(prompt.text for prompt in reference.prompts), *PROBES]
    found, given = _ask_llama(path, texts, reference, tokenizer, scratch, check)
    apart = Compared()
    apart.add(reference.logits, given)
    near, limits = apart.result(), LIMITS[kind]
    same = [found["tokens"][i] == tokenizer.encode(text)[0] for i, text in enumerate(texts)]
    ended = [
        stopped for stopped, answer in zip(found["stopped"], reference.answers, strict=True) if answer.stopped
    ]
    equal = [
        tuple(ids) == answer.ids for ids, answer in zip(found["answers"], reference.answers, strict=True)
    ]
    notes = {
        "prompts": len(reference.prompts),
        "tokens_compared": near.tokens,
        "tokens_decided": near.decided,
        "answers_equal": sum(equal) / len(equal),
        "merged_answers_that_end": sum(answer.stopped for answer in reference.answers),
        "adds_bos": found["adds_bos"],
        "has_template": found["has_template"],
    }
    return (
        Measure(
            "texts with the same tokens",
            sum(same) / len(same),
            "at least",
            1.0,
            "another token anywhere is another prompt",
            "llama.cpp reads the text as other tokens than the model was trained on",
        ),
        Measure(
            "stop tokens known",
            sum(found["stops_known"]) / len(found["stops_known"]),
            "at least",
            1.0,
            "an unknown stop token means answers that never end",
            "llama.cpp does not know a stop token of the model",
        ),
        Measure(
            "share of answers that end",
            sum(ended) / len(ended) if ended else 1.0,
            "at least",
            0.5,
            "of those that end in the merged model; a rounded model may take another, longer way",
            "answers run on past their end",
        ),
        Measure(
            "KL(merged || GGUF)",
            near.kl,
            "at most",
            limits.kl,
            limits.why,
            "the GGUF file answers differently from the merged model",
        ),
        Measure(
            "same next token",
            near.agreement,
            "at least",
            limits.agreement,
            limits.why,
            "the GGUF file would say other words than the merged model",
        ),
        Measure(
            "KL(merged || base)",
            reference.kl_base,
            "above",
            near.kl,
            "what quantising loses should be less than what training gained",
            "quantising changed the answers more than training did; prefer gguf:q8_0 or gguf:f16",
            gates=False,
        ),
    ), notes


def _ask_llama(
    path: Path,
    texts: Sequence[str],
    reference: Reference,
    tokenizer: ChatTokenizer,
    scratch: Path,
    check: Callable[[], None],
) -> tuple[dict[str, Any], torch.Tensor]:
    out, stack = scratch / "answers.json", scratch / "logits.npy"
    rows = [
        {"ids": ids, "first": first, "most": 2 * (len(ids) - first) + 8} for ids, first in reference.rows()
    ]
    request = {
        "do": "answer",
        "model": str(path),
        "texts": list(texts),
        "rows": rows,
        "stop_ids": list(tokenizer.stop_ids),
        "out": str(out),
        "logits": str(stack),
    }
    try:
        llama(request, scratch, check)
        return json.loads(out.read_text(encoding="utf-8")), torch.from_numpy(np.load(stack))
    finally:
        out.unlink(missing_ok=True)
        stack.unlink(missing_ok=True)
