"""Our losses on preferences beside trl's, run in a fork of the zygote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3MoeConfig
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.orpo import ORPOTrainer

from tests.sample_plan import make_plan
from tui_ft.errors import InputError
from tui_ft.planning.plan import MethodPlan, Plan
from tui_ft.runs.folder import RunFolder
from tui_ft.training.arguments import sft_config, update_steps, warmup_steps
from tui_ft.training.model import add_adapters
from tui_ft.training.preference import PreferenceTrainer
from tui_ft.training.preference_data import Kind, load

PROMPTS = ([1, 20, 21, 22], [1, 23, 24], [1, 25, 26, 27, 28, 29])
CHOSEN = ([30, 31, 32, 2], [33, 2], [34, 35, 36, 37, 38, 2])
REJECTED = ([40, 2], [41, 42, 43, 44, 2], [45, 46, 2])
GOOD = [True, False, True]
LORA = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")


def _base(folder: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def _shift(model: Any) -> None:
    """Move the trained weights away from the reference, by the same amounts in any model."""
    torch.manual_seed(7)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name in sorted(trained):
            trained[name].add_(0.05 * torch.randn_like(trained[name]))


def _rows(path: Path, kind: Kind) -> Any:
    def column(answers: Any) -> tuple[list[list[int]], list[list[int]]]:
        pairs = list(zip(PROMPTS, answers, strict=True))
        return [p + a for p, a in pairs], [[-100] * len(p) + a for p, a in pairs]

    ids, labels = column(CHOSEN)
    table: dict[str, Any] = {"input_ids": ids, "labels": labels}
    if kind == "pairs":
        table["rejected_ids"], table["rejected_labels"] = column(REJECTED)
    else:
        table["good"] = GOOD
    pq.write_table(pa.table(table), path)
    return load(path, seq_len=64, kind=kind).sequences


def _plan(objective: Any, **method: Any) -> Plan:
    values: dict[str, Any] = {"name": "lora", "objective": objective, "beta": 0.3, **method}
    base = make_plan()
    chosen = replace(MethodPlan("lora", "sft", 4, 8, 0.0, "all-linear", False), **values)
    return replace(base, method=chosen, train=replace(base.train, micro_batch=3, grad_accum=1))


def _ours(model: Any, folder: str, scratch: str, plan: Plan) -> PreferenceTrainer:
    kind: Kind = "verdicts" if plan.method.objective == "kto" else "pairs"
    rows = _rows(Path(scratch) / "rows.parquet", kind)
    trainer = PreferenceTrainer(
        model=model,
        args=sft_config(plan, Path(scratch) / "out", sequences=3, max_steps=0),
        train_dataset=rows,
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
        folder=RunFolder(Path(scratch)),
        keep=1,
        plan=plan,
    )
    trainer.remember_reference()
    return trainer


def _loss_and_gradient(trainer: Any, batch: Any) -> tuple[float, float]:
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(dict(batch)))
    loss.backward()
    norm = sum(float(p.grad.pow(2).sum()) for p in trainer.model.parameters() if p.grad is not None)
    return float(loss), norm**0.5


def _compare(ours: Any, theirs: Any) -> None:
    found, expected = (
        _loss_and_gradient(trainer, next(iter(trainer.get_eval_dataloader(trainer.train_dataset))))
        for trainer in (ours, theirs)
    )
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-5)
    assert found[1] > 0


_THEIRS: dict[str, Any] = {
    "beta": 0.3,
    "max_length": 64,
    "per_device_train_batch_size": 3,
    "per_device_eval_batch_size": 3,
    "gradient_checkpointing": False,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "dataloader_pin_memory": False,
}


def _their_pairs() -> Dataset:
    return Dataset.from_dict({"prompt_ids": PROMPTS, "chosen_ids": CHOSEN, "rejected_ids": REJECTED})


def _theirs(kind: Any, config: Any, folder: str, scratch: str, rows: Dataset, **more: Any) -> Any:
    """A trainer of trl on rows that are tokenised already."""
    tokenised: Any = type("Tokenised", (kind,), {"_prepare_dataset": lambda _, rows, *__: rows})
    return tokenised(
        args=config(output_dir=f"{scratch}/theirs", **_THEIRS),
        train_dataset=rows,
        processing_class=PreTrainedTokenizerFast.from_pretrained(folder),
        **{"model": _base(folder), **more},
    )


def dpo_is_trls(folder: str, scratch: str) -> None:
    """A new adapter, judged against the base; then one that has learned, judged against itself."""
    torch.manual_seed(0)
    theirs = _theirs(DPOTrainer, DPOConfig, folder, scratch, _their_pairs(), peft_config=LORA)
    torch.manual_seed(0)
    ours = _ours(get_peft_model(_base(folder), LORA), folder, scratch, _plan("dpo"))
    weights = {n: p.detach().clone() for n, p in theirs.model.named_parameters() if p.requires_grad}
    for name, parameter in ours.model.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(weights[name])
    for trainer in (ours, theirs):
        _shift(trainer.model)
    _compare(ours, theirs)

    learned = []
    for _ in range(2):
        torch.manual_seed(0)
        model = get_peft_model(_base(folder), LORA)
        _shift(model)
        learned.append(model)
    theirs = _theirs(DPOTrainer, DPOConfig, folder, scratch, _their_pairs(), model=learned[0])
    ours = _ours(learned[1], folder, scratch, _plan("dpo", continue_from="somewhere"))
    for trainer in (ours, theirs):
        _shift(trainer.model)
    _compare(ours, theirs)


def dpo_of_every_weight_is_trls(folder: str, scratch: str) -> None:
    """Full training, judged against the weights it began with."""
    theirs = _theirs(DPOTrainer, DPOConfig, folder, scratch, _their_pairs())
    ours = _ours(_base(folder), folder, scratch, _plan("dpo", name="full", rank=0))
    for trainer in (ours, theirs):
        _shift(trainer.model)
    _compare(ours, theirs)


def kto_is_trls(folder: str, scratch: str) -> None:
    """One batch with both kinds, each answer also after another question."""
    # As its `_prepare_dataset` has it: (x1, y1), (x2, y2), (x3, y3) --> (x1, y3), (x2, y1), (x3, y2).
    others = [CHOSEN[2], CHOSEN[0], CHOSEN[1]]
    rows = Dataset.from_dict(
        {"prompt_ids": PROMPTS, "completion_ids": CHOSEN, "KL_completion_ids": others, "label": GOOD}
    )
    theirs = _theirs(KTOTrainer, KTOConfig, folder, scratch, rows)
    plan = _plan("kto", name="full", rank=0, good_weight=1.0, bad_weight=1.0)
    ours = _ours(_base(folder), folder, scratch, plan)
    for trainer in (ours, theirs):
        _shift(trainer.model)
    _compare(ours, theirs)
    balanced = _ours(_base(folder), folder, scratch, _plan("kto", name="full", rank=0))
    assert balanced.weights == (1.0, 2.0)


def orpo_is_trls(folder: str, scratch: str) -> None:
    """With the chosen loss on every token, as trl has it."""
    plan = _plan("orpo", name="full", rank=0)
    plan = replace(plan, train=replace(plan.train, loss_on="all"))
    ours = _ours(_base(folder), folder, scratch, plan)
    batch = next(iter(ours.get_eval_dataloader(ours.train_dataset)))
    found = _loss_and_gradient(ours, batch)
    their_batch: dict[str, Any] = {}
    for side, part in (("chosen", slice(3)), ("rejected", slice(3, 6))):
        for key in ("input_ids", "attention_mask", "labels"):
            their_batch[f"{side}_{key}"] = batch[key][part]
    theirs: Any = ORPOTrainer.__new__(ORPOTrainer)
    theirs.__dict__.update(
        beta=0.3,
        is_encoder_decoder=False,
        padding_value=0,
        aux_loss_enabled=False,
        accelerator=Accelerator(cpu=True),
    )
    model = _base(folder).train()
    loss, metrics = theirs.get_batch_loss_metrics(model, their_batch)
    loss.backward()
    norm = sum(float(p.grad.pow(2).sum()) for p in model.parameters() if p.grad is not None) ** 0.5
    torch.testing.assert_close(found, (float(loss), norm), rtol=1e-5, atol=1e-5)
    booked = ours._metrics["train"]
    for name, their_name in (("chosen", "chosen"), ("rejected", "rejected"), ("accuracy", "accuracies")):
        assert abs(booked[f"reward_{name}"][0] - metrics[f"rewards/{their_name}"]) < 1e-5


def the_reference_stays(folder: str, scratch: str) -> None:
    """Asking the reference gives the first answers and leaves the trained weights alone, to the bit."""
    ours = _ours(_base(folder), folder, scratch, _plan("dpo", name="full", rank=0))
    batch = next(iter(ours.get_eval_dataloader(ours.train_dataset)))
    assert ours._reference is not None

    def answers() -> Any:
        assert ours._reference is not None
        with ours._reference.asked():
            return ours._log_probs(ours.model, batch)[0]

    first = answers()
    _shift(ours.model)
    shifted = [parameter.detach().clone() for parameter in ours.model.parameters()]
    ours.model.train()
    torch.testing.assert_close(answers(), first, rtol=0, atol=0)
    assert ours.model.training
    assert all(torch.equal(now, before) for now, before in zip(ours.model.parameters(), shifted, strict=True))


def pairs_are_cut_counted_and_left_out(folder: str, scratch: str) -> None:
    """A pair of which one answer is cut away is left out; the counts say so."""
    _rows(path := Path(scratch) / "rows.parquet", "pairs")
    found = load(path, seq_len=6, kind="pairs")
    # The first loses two tokens of its chosen answer, the second two of its rejected one, the third all.
    assert (found.rows, found.cut, found.dropped) == (3, 2, 1)
    assert found.sequences["input_ids"][:] == [[1, 20, 21, 22, 30, 31], [1, 23, 24, 33, 2]]
    assert found.sequences["rejected_ids"][:] == [[1, 20, 21, 22, 40, 2], [1, 23, 24, 41, 42, 43]]
    assert found.tokens == 6 + 5 + 6 + 6
    assert found.answer_tokens == 2 + 2 + 2 + 3
    _rows(path, "verdicts")
    verdicts = load(path, seq_len=64, kind="verdicts").sequences
    assert verdicts["mismatched_ids"][:] == [
        PROMPTS[0] + CHOSEN[2],
        PROMPTS[1] + CHOSEN[0],
        PROMPTS[2] + CHOSEN[1],
    ]
    assert verdicts["mismatched_labels"][1] == [-100] * 3 + CHOSEN[0]
    assert verdicts["good"][:] == GOOD


def nothing_is_left_to_defaults(folder: str, scratch: str) -> None:
    """Every setting of trl and transformers that decides what is learned comes from the plan."""
    train = replace(
        make_plan().train,
        learning_rate=3.3e-4,
        weight_decay=0.07,
        max_grad_norm=0.6,
        warmup_steps=3,
        micro_batch=5,
        grad_accum=7,
        seq_len=96,
        gradient_checkpointing=True,
        optimizer="adamw_8bit",
        precision="bf16",
        seed=77,
        epochs=2.5,
        neftune_alpha=4.0,
        schedule="linear",
    )
    plan = replace(make_plan(), train=train, steps=40)
    ours = sft_config(plan, Path(scratch), sequences=400, max_steps=0)
    expected: dict[str, Any] = {
        "learning_rate": 3.3e-4,
        "weight_decay": 0.07,
        "max_grad_norm": 0.6,
        "per_device_train_batch_size": 5,
        "per_device_eval_batch_size": 5,
        "gradient_accumulation_steps": 7,
        "max_length": 96,
        "bf16": True,
        "fp16": False,
        "optim": "adamw_bnb_8bit",
        "lr_scheduler_type": "linear",
        "num_train_epochs": 2.5,
        "max_steps": -1,
        "seed": 77,
        "data_seed": 77,
        "neftune_noise_alpha": 4.0,
        "label_smoothing_factor": 0.0,
        "packing": False,
        "push_to_hub": False,
        "logging_nan_inf_filter": False,
    }
    assert {name: getattr(ours, name) for name in expected} == expected
    assert ours.gradient_checkpointing or ours.activation_checkpointing
    assert 0 < ours.warmup_steps == warmup_steps(train, 40, update_steps(400, plan, 0))
    # A setting whose default is another than the plan's value, and is not set, would show here.
    defaults = type(ours)(output_dir=scratch, use_cpu=True)
    assert all(getattr(defaults, name) != value for name, value in expected.items() if name in _DECIDED)


_DECIDED = (
    "learning_rate",
    "weight_decay",
    "max_grad_norm",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "max_length",
    "optim",
    "num_train_epochs",
    "seed",
)


def experts_are_named(folder: str, scratch: str) -> None:
    """A mixture of experts gets adapters on its blocks, told by name; naming a block is explained."""
    config = Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
    )
    method = MethodPlan("lora", "sft", 4, 8, 0.0, "all-linear", False)
    _, adapters = add_adapters(AutoModelForCausalLM.from_config(config), method)
    assert adapters.matches["experts.gate_up_proj"] == adapters.matches["experts.down_proj"] == 2
    assert "base_layer" not in adapters.matches
    for named in ("experts", "gate_up_proj"):
        with pytest.raises(InputError, match="holds all experts in one block") as caught:
            add_adapters(AutoModelForCausalLM.from_config(config), replace(method, targets=(named,)))
        assert "all-linear" in str(caught.value)
