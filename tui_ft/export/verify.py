"""Proof that a merged model answers like the adapter it was made from. Child processes only: imports torch.

Two independent looks: the weights themselves, tensor by tensor, and the answers, as the Kullback-Leibler
divergence of next-token distributions over rows neither model was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import fsum, log
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.nn.functional import kl_div, log_softmax

from tui_ft.evaluation.generate import forward
from tui_ft.export.check import Measure


@dataclass(frozen=True, slots=True)
class Limits:
    """What merging may change, by the number format of the merged weights."""

    kl: float  # mean, in nats per token
    agreement: float  # share of decided tokens that stay the same
    rounding: float  # relative error of one weight
    why: str


# Rounding to p bits of mantissa changes a number by at most 2^-p of itself; adapter and sum are both
# rounded, hence one bit more. The KL limits are several times what real adapters show (docs/export.md).
LIMITS = {
    torch.bfloat16: Limits(0.02, 0.98, 2**-7, "bf16 keeps 8 bits of each weight"),
    torch.float16: Limits(0.002, 0.99, 2**-10, "fp16 keeps 11 bits of each weight"),
}
# Where fp32 does not fit, both models compute in 16 bits, and their sums differ in the last bits too.
_COARSE = Limits(0.05, 0.95, 2**-7, "computed in 16 bits for want of memory, so sums are rounded as well")
_ENOUGH = 20
_ABSOLUTE = 1e-7  # below this a 16-bit number is stored with fewer bits


@dataclass(frozen=True, slots=True)
class Divergence:
    """How a second model differs from a first over some texts.

    `kl` is the mean of KL(first || second) in nats per token. `agreement` is the share of tokens on which
    both have the same favourite, of those where the first is decided: its favourite is at least twice as
    likely as the next. Where two words are about as likely, the last bit of a sum picks one. With fewer
    than 20 decided tokens it is 1, because a share of so few says nothing; `kl` speaks then.
    """

    kl: float
    agreement: float
    tokens: int
    decided: int


class Compared:
    """Sums up the divergence of pairs of logits."""

    def __init__(self) -> None:
        self._kl: list[float] = []
        self._decided = 0
        self._same = 0

    def add(self, first: torch.Tensor, second: torch.Tensor) -> None:
        """Logits of the same text by both models, each (tokens, vocabulary)."""
        # A padded vocabulary may be longer in one of them; the padding is never said.
        width = min(first.shape[-1], second.shape[-1])
        one = log_softmax(first[..., :width].double(), dim=-1)
        two = log_softmax(second[..., :width].double(), dim=-1)
        self._kl += kl_div(two, one, log_target=True, reduction="none").sum(-1).tolist()
        best = one.topk(2, dim=-1)
        decided = best.values[..., 0] - best.values[..., 1] >= log(2)
        self._decided += int(decided.sum())
        self._same += int((decided & (best.indices[..., 0] == two.argmax(-1))).sum())

    def result(self) -> Divergence:
        """Over everything added."""
        agreement = self._same / self._decided if self._decided >= _ENOUGH else 1.0
        return Divergence(fsum(self._kl) / len(self._kl), agreement, len(self._kl), self._decided)


@dataclass(frozen=True, slots=True)
class Weights:
    """The merged weights held against base and adapter."""

    targeted: int  # modules that have an adapter
    changed: int  # of those, the ones that differ from the base
    disturbed: int  # other tensors that differ from the base
    excess: float  # largest error, as a multiple of what rounding explains


def compare_weights(tuned: Any, merged: Any, dtype: torch.dtype) -> Weights:
    """Each adapted module must be base plus adapter, everything else the base itself.

    `tuned` is the base with the adapter on top, unmerged. DoRA's own rescaling is not recomputed here:
    its modules must differ, and the answers decide.
    """
    rounding = LIMITS[dtype].rounding
    other = dict(merged.named_parameters())
    adapted = {name: module for name, module in tuned.named_modules() if isinstance(module, BaseTunerLayer)}
    changed, excess = 0, 0.0
    own: set[str] = set()
    for name, module in adapted.items():
        # Stacked experts have no weight of that name; peft wraps their parameters one by one.
        parameter = getattr(module, "parameter_name", "weight")
        key = f"{_plain(name)}.{parameter}"
        own.add(key)
        before = getattr(module.get_base_layer(), parameter).detach().float()
        after = other[key].detach().float()
        changed += not torch.equal(before.to(dtype), after.to(dtype))
        if isinstance(module, LoraLayer) and not module.lora_variant:
            delta = sum(
                module.get_delta_weight(adapter).detach().float() for adapter in module.active_adapters
            )
            allowed = rounding * (before.abs() + delta.abs()) + _ABSOLUTE
            excess = max(excess, float(((after - before - delta).abs() / allowed).max()))
    rest = {_plain(name): value for name, value in tuned.named_parameters() if ".lora_" not in name}
    disturbed = sum(
        not torch.equal(value.to(dtype), other[name].to(dtype))
        for name, value in rest.items()
        if name not in own
    )
    return Weights(len(adapted), changed, disturbed, excess)


def _plain(name: str) -> str:
    """A module's or parameter's name as it is without peft around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


def weight_measures(found: Weights, dtype: torch.dtype) -> tuple[Measure, ...]:
    """The measures of `compare_weights`."""
    return (
        Measure(
            "share of adapted modules changed",
            found.changed / found.targeted if found.targeted else 0.0,
            "at least",
            1.0,
            "every adapted module must differ from the base",
            "the adapter did not reach every module it was trained for",
        ),
        Measure(
            "other tensors changed",
            found.disturbed,
            "at most",
            0,
            "what has no adapter must be the base's, bit by bit",
            "the merged model was not made from this base",
        ),
        Measure(
            "largest error of a weight, in roundings",
            found.excess,
            "at most",
            1.0,
            LIMITS[dtype].why,
            "a merged weight is not base plus adapter",
        ),
    )


def answer_measures(
    tuned: Any,
    base: Callable[[], AbstractContextManager[Any]],
    merged: Any,
    texts: Sequence[Sequence[int]],
    dtype: torch.dtype,
    check: Callable[[], None] = lambda: None,
) -> tuple[Measure, ...]:
    """How far the merged model's answers are from the tuned one's, and the base's from both.

    `base` gives the base for the length of a `with` block: the tuned model with its adapter off, or a
    model of its own. `texts` are token ids; `check` may raise to stop.
    """
    apart, untuned = Compared(), Compared()
    for text in texts:
        check()
        with torch.inference_mode():
            of_merged = logits(merged, text)
            apart.add(logits(tuned, text), of_merged)
            with base() as model:
                untuned.add(of_merged, logits(model, text))
    near, far = apart.result(), untuned.result()
    limits = LIMITS[dtype] if tuned.dtype == torch.float32 else _COARSE
    return (
        Measure(
            "KL(adapter || merged)",
            near.kl,
            "at most",
            limits.kl,
            limits.why,
            "the merged model answers differently from the adapter",
        ),
        Measure(
            "same next token",
            near.agreement,
            "at least",
            limits.agreement,
            limits.why,
            "the merged model would say other words than the adapter",
        ),
        Measure(
            "KL(merged || base)",
            far.kl,
            "above",
            near.kl,
            "merging may lose less than training gained",
            "the merged model is as far from the adapter as from the untuned base",
        ),
    )


def trained_measure(
    trained: Any,
    base: Any,
    merged: Any,
    texts: Sequence[Sequence[int]],
    check: Callable[[], None] = lambda: None,
) -> Measure:
    """For QLoRA: the adapter was trained on a 4-bit base and is merged into the 16-bit one.

    How much that matters differs from model to model, so it is measured: the merged model must be nearer
    to the model that was trained than the untuned base is.
    """
    apart, untuned = Compared(), Compared()
    for text in texts:
        check()
        with torch.inference_mode():
            as_trained = logits(trained, text)
            apart.add(as_trained, logits(merged, text))
            untuned.add(as_trained, logits(base, text))
    return Measure(
        "KL(4-bit as trained || merged)",
        apart.result().kl,
        "below",
        untuned.result().kl,
        "training on 4 bits and merging into 16 may lose less than training gained",
        "the merged model is no nearer to the trained 4-bit model than the untuned base is",
    )


def logits(model: Any, text: Sequence[int]) -> torch.Tensor:
    """Logits (tokens, vocabulary) of one text, on the CPU in fp32."""
    ids = torch.tensor([list(text)])
    return forward(model, ids, torch.ones_like(ids))[0].float().cpu()
