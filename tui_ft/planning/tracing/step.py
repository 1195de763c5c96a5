"""An optimizer step as the worker takes it, on fake tensors, when all states are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from tui_ft.planning.plan import MethodPlan, TrainPlan
from tui_ft.planning.tracing.building import DTYPES, build
from tui_ft.planning.tracing.ledger import Ledger, Moment, Peak
from tui_ft.planning.tracing.optimizers import Optimizer

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Job:
    """What is traced. `scored` is the share of the tokens that are learned from."""

    method: MethodPlan
    train: TrainPlan
    device: str
    scored: float


@dataclass(frozen=True, slots=True)
class Trace:
    """The peaks of the step by moment."""

    peaks: Mapping[Moment, Peak]
    layers: int
    trained_bytes: int  # of all weights that get a gradient


def trace(config: Any, job: Job, *, first_too: bool = False) -> Trace:
    """Build the model and take a step. Raises InputError when it cannot be built.

    Every step but the first finds the optimizer's states; they are made beforehand, unless `first_too`.
    """
    train = job.train
    rows = train.micro_batch
    positions = rows * train.seq_len - (1 if train.packing else rows)
    ledger = Ledger(scored=max(1, round(positions * job.scored)))
    # The fake mode lies under the ledger, which therefore sees what the model asks for.
    with FakeTensorMode(allow_non_fake_inputs=True), ledger, _as_on(job):
        model = build(config, job.method, train, ledger)
        _prepare(model, train)
        layers = decoder_layers(model)
        _watch(layers, model, ledger)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(lambda p: ledger.move(p.grad, "gradients"))
        optimizer = Optimizer(trained, train.optimizer, job.device)
        if not first_too:
            ledger.part = "optimizer"
            optimizer.make_states()
        ledger.part = "activations"
        batch = _batch(train)
        for _ in range(2 if first_too else 1):
            ledger.reset()
            ledger.moment = ("embedding" if layers else "forward and backward", 0)
            _step(model, batch, optimizer, job, ledger)
        size = sum(parameter.numel() * parameter.element_size() for parameter in trained)
        return Trace(dict(ledger.peaks), len(layers), size)


def _prepare(model: Any, train: TrainPlan) -> None:
    """What trl's SFTTrainer and transformers' Trainer do before the first step."""
    from trl.trainer.utils import add_fused_lm_head

    adapted = hasattr(model, "peft_config")
    add_fused_lm_head(
        model.get_base_model() if adapted else model, outputs=("log_probs", "entropy", "is_top1")
    )
    if train.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if adapted:
            model.enable_input_require_grads()
    model.train()


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the language model: the list of modules that is as long as its config says."""
    config: Any = model.config
    wanted = config.get_text_config().num_hidden_layers
    for module in model.modules():
        if (
            isinstance(module, nn.ModuleList)
            and len(module) == wanted
            and "Layer" in type(module[0]).__name__
        ):
            return list(module)
    return []


def _watch(layers: list[nn.Module], model: Any, ledger: Ledger) -> None:
    """Let the ledger know which layer is at work, forward and backward."""

    def entering(moment: Moment, part: str) -> None:
        ledger.moment, ledger.part = moment, part

    def before(index: int) -> Any:
        def hook(*_: Any) -> None:
            if ledger.moment[0] in ("embedding", "forward"):
                entering(("forward", index), "activations")

        return hook

    def after(index: int) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            if ledger.moment != ("forward", index):
                return  # a checkpoint is computed again
            hidden = output[0] if isinstance(output, tuple) else output
            if hidden.requires_grad:
                hidden.register_hook(lambda gradient: entering(("backward", index), "activations"))
            if index == len(layers) - 1:
                entering(("loss", 0), "loss_head")

        return hook

    def embedded(_: Any, __: Any, output: torch.Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: entering(("embedding gradient", 0), "activations"))

    for index, layer in enumerate(layers):
        layer.register_forward_pre_hook(before(index))
        layer.register_forward_hook(after(index))
    model.get_input_embeddings().register_forward_hook(embedded)


def _batch(train: TrainPlan) -> dict[str, torch.Tensor]:
    """A full batch as trl's collator makes it: packed sequences end to end, or rows with their mask."""
    rows, length = train.micro_batch, train.seq_len
    shape = (1, rows * length) if train.packing else (rows, length)
    batch = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "labels")}
    return {
        **batch,
        ("position_ids" if train.packing else "attention_mask"): torch.ones(shape, dtype=torch.long),
    }


def _step(model: Any, batch: Mapping[str, Any], optimizer: Optimizer, job: Job, ledger: Ledger) -> None:
    train = job.train
    start = ledger.moment
    for _ in range(min(2, train.grad_accum)):
        ledger.part = "activations"
        ledger.moment = start
        context: Any = nullcontext()
        if train.precision != "fp32":
            context = torch.autocast("cpu", dtype=DTYPES[train.precision])
        with context:
            loss = learned_loss(model, batch)
        loss.backward()
        del loss
    ledger.moment, ledger.part = ("optimizer", 0), "optimizer"
    torch.nn.utils.clip_grad_norm_(optimizer.parameters, train.max_grad_norm or 1.0)
    optimizer.step()
    optimizer.zero_grad()


def learned_loss(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    """The loss as trl's SFTTrainer.compute_loss computes it, with the fused head."""
    output = model(**batch, use_cache=False, fused_lm_head=True)
    loss: torch.Tensor = -output.log_probs.sum() / output.label_mask.sum().clamp(min=1)
    return loss


@contextmanager
def _as_on(job: Job) -> Iterator[None]:
    """Let libraries choose as they would on the device with such a batch, not as they do for fake tensors."""
    import transformers.masking_utils as masks
    import trl.kernels.chunked_logprob as head
    import trl.trainer.utils as trainer

    whole = job.train.micro_batch == 1 and not job.train.packing
    ignore, find = masks._ignore_causal_mask_sdpa, masks.find_packed_sequence_indices

    def may_ignore(padding_mask: Any, *args: Any, **kwargs: Any) -> bool:
        return bool(ignore(None if whole else padding_mask, *args, **kwargs))

    masks._ignore_causal_mask_sdpa = may_ignore
    if not job.train.packing:
        masks.find_packed_sequence_indices = lambda *_, **__: None
    trainer._use_triton = lambda device: True
    if job.device == "cuda":
        head._use_triton = lambda device: True
        head._forward_kernel = head._backward_kernel = _Kernel()
        head.triton = _Triton
        # cuBLAS adds in fp32 without temporaries.
        head._addmm_fp32 = lambda sums, left, right: None
    yield
    masks._ignore_causal_mask_sdpa, masks.find_packed_sequence_indices = ignore, find


class _Kernel:
    """A Triton kernel that works in place and needs no memory."""

    def __getitem__(self, grid: Any) -> Any:
        return lambda *_, **__: None


class _Triton:
    @staticmethod
    def cdiv(a: int, b: int) -> int:
        return -(-a // b)
