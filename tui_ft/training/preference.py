"""Learning from preferences: DPO, KTO and ORPO on the same trainer as everything else.

The losses are those of trl's DPOTrainer, KTOTrainer and ORPOTrainer (tests compare them); rows, masks,
checkpoints and guards are ours. Log-probabilities are sums over the answer's tokens, in fp32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tui_ft.planning.plan import MethodPlan, Plan
from tui_ft.training.dataset import IGNORED
from tui_ft.training.preference_data import PAIR_COLUMNS, VERDICT_COLUMNS, Batch, Collator, Kind
from tui_ft.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch that was judged: its mean loss, and how each answer is rewarded.

    `good` are the rewards of chosen or good answers, `bad` those of the others; `right` holds, for each pair
    or verdict, whether the model agrees with it.
    """

    loss: Tensor
    good: Tensor
    bad: Tensor
    right: Tensor
    kl: Tensor | None = None


def dpo(policy: Tensor, reference: Tensor, beta: float) -> Judged:
    """Rafailov et al. 2023, eq. 7. Log-probabilities of shape (2 x pairs), the chosen answers first."""
    ratio = policy - reference
    chosen, rejected = ratio.chunk(2)
    loss = -functional.logsigmoid(beta * (chosen - rejected)).mean()
    good, bad = (beta * ratio.detach()).chunk(2)
    return Judged(loss, good, bad, good > bad)


def orpo(mean_policy: Tensor, chosen_loss: Tensor, beta: float) -> Judged:
    """Hong et al. 2024, eq. 6: the loss of the chosen answers plus `beta` times the odds ratio's.

    `mean_policy` are mean log-probabilities per token, of shape (2 x pairs), the chosen answers first.
    """
    chosen, rejected = mean_policy.chunk(2)
    odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    good, bad = (beta * mean_policy.detach()).chunk(2)
    return Judged(chosen_loss - beta * functional.logsigmoid(odds).mean(), good, bad, good > bad)


def kto(
    policy: Tensor, reference: Tensor, kl: Tensor, good: Tensor, beta: float, weights: tuple[float, float]
) -> Judged:
    """Ethayarajh et al. 2024, eq. 7. Log-probabilities and `good` of shape (rows); `kl` is a scalar >= 0.

    `weights` are those of good and of bad answers.
    """
    ratio = policy - reference
    side = torch.where(good, 1.0, -1.0)
    weight = torch.where(good, *weights)
    loss = (weight * (1 - torch.sigmoid(beta * side * (ratio - kl)))).mean()
    rewards = beta * ratio.detach()
    return Judged(loss, rewards[good], rewards[~good], side * (ratio.detach() - kl) > 0, kl)


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, without cancellation on either side of -ln 2."""
    near = x > -0.6931471805599453
    far = torch.log1p(-torch.exp(torch.where(near, -1.0, x)))
    return torch.where(near, torch.log(-torch.expm1(torch.where(near, x, -1.0))), far)


class Reference:
    """The model as it was before the first step.

    A new adapter is switched off. Where training goes on from weights that have learned, their first values
    are kept (a second copy of what is trained) and put in their place for as long as they are asked.
    """

    def __init__(self, model: Any, *, fresh_adapter: bool) -> None:
        self._model = model
        self._first = [] if fresh_adapter else _copies(model)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Within, the model answers as it did at first: without gradient, dropout or noise."""
        training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad():
                if self._first:
                    with self._swapped():
                        yield
                else:
                    with self._model.disable_adapter():
                        yield
        finally:
            self._model.train(training)

    @contextmanager
    def _swapped(self) -> Iterator[None]:
        now = [parameter.data for parameter, _ in self._first]
        for parameter, first in self._first:
            parameter.data = first
        try:
            yield
        finally:
            for (parameter, _), value in zip(self._first, now, strict=True):
                parameter.data = value


def _copies(model: Any) -> list[tuple[Any, Tensor]]:
    return [
        (parameter, parameter.detach().clone()) for parameter in model.parameters() if parameter.requires_grad
    ]


class PreferenceTrainer(Trainer):
    """A training on pairs or verdicts. The loss is a mean over them, however they fall into batches."""

    loss_is_scaled_for_ga = True  # divided by all rows of the update, not by those of a micro-batch

    def __init__(self, *args: Any, plan: Plan, **kwargs: Any) -> None:
        self.method: MethodPlan = plan.method
        self.kind: Kind = "verdicts" if plan.method.objective == "kto" else "pairs"
        self._all_tokens = plan.train.loss_on == "all"
        pad_id = kwargs["processing_class"].pad_token_id
        if pad_id is None:
            pad_id = kwargs["processing_class"].eos_token_id or 0
        super().__init__(*args, data_collator=Collator(pad_id, self.kind), **kwargs)
        self._reference: Reference | None = None
        self._seen: dict[str, list[Tensor]] = defaultdict(list)
        self.weights = verdict_weights(self.method, self.train_dataset)

    def remember_reference(self) -> None:
        """To be called when the weights are in place and before a checkpoint is read. ORPO needs none."""
        if self.method.objective != "orpo":
            fresh = self.method.name != "full" and not self.method.continue_from
            self._reference = Reference(self.model, fresh_adapter=fresh)

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = list(PAIR_COLUMNS if self.kind == "pairs" else VERDICT_COLUMNS)

    # -- the loss

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The batch's part of the update's loss; its mean loss outside of training."""
        judged, outputs = self._judge(model, inputs)
        loss = judged.loss
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss
        self._book(judged, outputs, inputs)
        if num_items_in_batch is not None:
            loss = loss * (self.rows_of(inputs) / num_items_in_batch)
            if self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes  # DDP takes the mean over them
        return loss

    def _judge(self, model: Any, inputs: Batch) -> tuple[Judged, Any]:
        first = _part(inputs)
        if self.kind == "verdicts":
            return self._judge_verdicts(model, inputs, first)
        if self._reference is None:
            return self._judge_odds(model, first)
        with self._reference.asked():
            reference = self._log_probs(self.model, first)[0].sum(-1)
        policy, outputs = self._log_probs(model, first)
        return dpo(policy.sum(-1), reference, self.method.beta), outputs

    def _judge_verdicts(self, model: Any, inputs: Batch, first: Batch) -> tuple[Judged, Any]:
        other = _part(inputs, "mismatched_")
        assert self._reference is not None
        with self._reference.asked():
            reference, other_reference = (
                self._log_probs(self.model, part)[0].sum(-1) for part in (first, other)
            )
        with torch.no_grad():
            other_policy = self._log_probs(model, other)[0].sum(-1)
        kl = self.accelerator.gather_for_metrics((other_policy - other_reference).mean()).mean().clamp(min=0)
        policy, outputs = self._log_probs(model, first)
        good = inputs["good"].bool()
        return kto(policy.sum(-1), reference, kl, good, self.method.beta, self.weights), outputs

    def _judge_odds(self, model: Any, first: Batch) -> tuple[Judged, Any]:
        labels = first["labels"]
        answers = labels[:, 1:] != IGNORED
        pairs = len(labels) // 2
        scored = labels.clone()
        if self._all_tokens:
            scored[:pairs] = first["input_ids"][:pairs].masked_fill(
                first["attention_mask"][:pairs] == 0, IGNORED
            )
        policy, outputs = self._log_probs(model, {**first, "labels": scored})
        means = (policy * answers).sum(-1) / answers.sum(-1)
        chosen_loss = -policy[:pairs].sum() / (scored[:pairs, 1:] != IGNORED).sum()
        return orpo(means, chosen_loss, self.method.beta), outputs

    def _log_probs(self, model: Any, part: Batch) -> tuple[Tensor, Any]:
        """Log-probability of each learned token, 0 elsewhere: shape (rows, tokens - 1)."""
        more = {"output_router_logits": True} if self.aux_loss_enabled else {}
        outputs = model(**part, **more, use_cache=False, fused_lm_head=True)
        return outputs.log_probs.float(), outputs

    # -- counting

    def weigh(self, batch: Batch) -> int:
        """Pairs or verdicts, by which an evaluation takes its mean."""
        return self.rows_of(batch)

    def rows_of(self, batch: Batch) -> int:
        """Pairs or verdicts of a batch."""
        return len(batch["input_ids"]) // (2 if self.kind == "pairs" else 1)

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: Any) -> Any:
        if not batch_samples:
            return None
        rows = torch.tensor(sum(self.rows_of(batch) for batch in batch_samples), device=device)
        return self.accelerator.gather(rows).sum() if self.args.average_tokens_across_devices else rows

    def _book(self, judged: Judged, outputs: Any, inputs: Batch) -> None:
        mode = "train" if self.model.training else "eval"
        seen = {"good": judged.good, "bad": judged.bad, "right": judged.right.float()}
        if judged.kl is not None:
            seen["kl"] = judged.kl.reshape(1)
        if mode == "eval":
            for name, values in seen.items():
                self._seen[name].append(values)
            return
        kept = self._metrics[mode]
        for name, value in _means(seen).items():
            kept[name].append(value)
        answers = slice(None) if self.kind == "verdicts" else slice(self.rows_of(inputs))
        scored = int(outputs.label_mask[answers].sum())
        kept["entropy"].append(float(outputs.entropy[answers].sum()) / max(1, scored))
        kept["mean_token_accuracy"].append(float(outputs.is_top1[answers].sum()) / max(1, scored))
        tokens = self.accelerator.gather_for_metrics(inputs["attention_mask"].sum()).sum()
        self._total_train_tokens += int(tokens)
        kept["num_tokens"] = [self._total_train_tokens]

    def more_metrics(self) -> dict[str, float]:
        """Rewards over the rows evaluated since the last call."""
        found = _means({name: torch.cat(values) for name, values in self._seen.items()})
        self._seen.clear()
        return _with_margin(found)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the reward margin, which a micro-batch with verdicts of one kind has none of."""
        kept = self._metrics["train"]
        means = {name: sum(kept[name]) / len(kept[name]) for name in _NAMES.values() if kept.get(name)}
        super().log({**logs, **_with_margin(means)}, start_time)


_NAMES = {"good": "reward_chosen", "bad": "reward_rejected", "right": "reward_accuracy", "kl": "kl"}


def _means(seen: dict[str, Tensor]) -> dict[str, float]:
    return {_NAMES[name]: float(values.mean()) for name, values in seen.items() if values.numel()}


def _with_margin(means: dict[str, float]) -> dict[str, float]:
    if "reward_chosen" in means and "reward_rejected" in means:
        return {**means, "reward_margin": means["reward_chosen"] - means["reward_rejected"]}
    return means


def _part(inputs: Batch, prefix: str = "") -> Batch:
    return {key: inputs[prefix + key] for key in ("input_ids", "attention_mask", "labels")}


def verdict_weights(method: MethodPlan, rows: Any) -> tuple[float, float]:
    """Weights of good and bad answers: the recipe's, else such that both kinds weigh the same in all.

    The rarer kind is weighed up, the other counts 1 (Ethayarajh et al. 2024, eq. 8).
    """
    if method.objective != "kto":
        return 1.0, 1.0
    good = sum(rows["good"])
    bad = len(rows) - good
    balanced = (max(1.0, bad / good), max(1.0, good / bad)) if good and bad else (1.0, 1.0)
    return method.good_weight or balanced[0], method.bad_weight or balanced[1]
