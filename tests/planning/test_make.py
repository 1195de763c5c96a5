"""Plans for real-sized situations: what is chosen, that pins are kept, and that everything has a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.situations import (
    A100,
    BOXES,
    CPU,
    LLAMA_70B,
    RTX_4090,
    T4,
    cpu_box,
    gpu_box,
    model,
    recipe,
    report,
    smollm2,
)
from tui_ft.errors import InputError
from tui_ft.hardware.facts import Hardware
from tui_ft.planning import conflicts
from tui_ft.planning.describe import plan_lines
from tui_ft.planning.make import make
from tui_ft.planning.memory import CUDA_CONTEXT
from tui_ft.planning.plan import Plan
from tui_ft.recipe import options

SEVENTY = model(LLAMA_70B, 70_553_706_496)


def reason(plan: Plan, key: str) -> str:
    return next(reason.why for reason in plan.reasons if reason.key == key)


def test_an_8b_model_gets_lora_where_it_fits_and_qlora_where_it_does_not() -> None:
    assert make(recipe(), model(), report(), A100).method.name == "lora"
    assert make(recipe(), model(), report(), RTX_4090).method.name == "lora"
    small = make(recipe(), model(), report(), gpu_box(free_gib=12))
    assert small.method.name == "qlora"
    assert reason(small, "method.name").startswith("LoRA needs 17.")
    assert reason(small, "method.name").endswith(" GiB: too much here")


def test_usual_settings_for_a_format_task_on_one_card() -> None:
    plan = make(recipe(), model(), report(), RTX_4090)
    assert (plan.method.rank, plan.method.alpha, plan.method.dropout) == (16, 32, 0.05)
    assert (plan.train.learning_rate, plan.train.epochs) == (2e-4, 3)
    assert (plan.train.precision, plan.train.optimizer) == ("bf16", "adamw")
    assert plan.fits == "safe"
    assert plan.rows_train == 496


def test_a_card_without_bf16_computes_in_fp16() -> None:
    plan = make(recipe(), model(), report(), T4)
    assert (plan.method.name, plan.train.precision) == ("qlora", "fp16")
    assert reason(plan, "train.precision") == "compute capability 7.5: bf16 needs 8.0"


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_processor_computes_in_what_it_is_fast_at(fast: bool, precision: str) -> None:
    plan = make(recipe(), smollm2(), report(), cpu_box(bf16=fast))
    assert plan.device == "cpu"
    assert (plan.method.name, plan.train.precision, plan.train.optimizer) == ("lora", precision, "adamw")


def test_full_training_on_a_processor_keeps_small_updates() -> None:
    plan = make(recipe('[method]\nname = "full"\n'), smollm2(), report(), cpu_box(bf16=True))
    assert plan.train.precision == "fp32"
    assert (plan.method.rank, plan.method.alpha) == (0, 0)


def test_the_longest_row_is_kept_whole_when_that_costs_little() -> None:
    plan = make(recipe(), smollm2(), report(spread=0.2), CPU)
    rows = report(spread=0.2).lengths
    assert rows is not None
    assert rows.cut_at(plan.train.seq_len) == 0
    assert plan.train.seq_len % 64 == 0
    assert not any("longer than" in warning for warning in plan.warnings)


def test_one_row_far_longer_than_the_rest_is_cut_and_the_user_is_told() -> None:
    lengths = (*([200] * 999), 40_000)
    plan = make(recipe(), model(), report(1000, lengths=lengths), gpu_box(free_gib=23))
    assert plan.train.seq_len < 40_000
    warning = next(warning for warning in plan.warnings if "longer than" in warning)
    assert "1 row is longer than" in warning
    assert "train.seq_len = 40000" in warning


def test_the_models_context_caps_the_length() -> None:
    plan = make(recipe(), model(context=512), report(lengths=(900,) * 620), A100)
    assert plan.train.seq_len == 512
    assert any("620 rows are longer than 512 tokens" in warning for warning in plan.warnings)


def test_short_rows_are_packed_on_a_gpu_and_steps_count_packed_sequences() -> None:
    packed = make(recipe(), model(), report(spread=0.8), A100)
    loose = make(recipe('[train]\npacking = "off"\n'), model(), report(spread=0.8), A100)
    assert packed.train.packing
    assert not loose.train.packing
    rows_per_update = loose.train.effective_batch
    assert loose.steps == 3 * -(-496 // rows_per_update)
    assert packed.steps < loose.steps * 1.5
    assert packed.tokens == loose.tokens


def test_a_70b_model_on_a_small_card_names_the_way_out() -> None:
    plan = make(recipe(), SEVENTY, report(), RTX_4090)
    assert (plan.fits, plan.method.name) == ("wont_fit", "qlora")
    assert any(warning.startswith("Does not fit: needs at least") for warning in plan.warnings)
    assert any("Choose a smaller model" in warning for warning in plan.warnings)


def test_pins_that_do_not_fit_are_kept_and_the_way_out_works() -> None:
    pins = recipe(
        '[method]\nname = "lora"\n'
        "[train]\nmicro_batch = 16\nseq_len = 4096\npacking = 'off'\ngradient_checkpointing = false\n"
    )
    plan = make(pins, model(), report(), RTX_4090)
    assert (plan.fits, plan.method.name, plan.train.micro_batch) == ("wont_fit", "lora", 16)
    way_out = "Leave out train.micro_batch and train.gradient_checkpointing"
    assert any(warning.startswith(way_out) for warning in plan.warnings)
    freed = pins.with_values({"train.micro_batch": None, "train.gradient_checkpointing": None})
    assert make(freed, model(), report(), RTX_4090).fits == "safe"


def test_way_out_by_a_shorter_length_names_its_price_and_works() -> None:
    pins = recipe('[method]\nname = "lora"\n[train]\nseq_len = 32768\n')
    data = report(typical=2000, spread=0.9)
    plan = make(pins, model(), data, RTX_4090)
    assert plan.fits == "wont_fit"
    way_out = next(warning for warning in plan.warnings if warning.startswith("Set train.seq_len"))
    length = int(way_out.split()[3])
    assert "cuts" in way_out
    assert make(pins.with_values({"train.seq_len": length}), model(), data, RTX_4090).fits == "safe"
    longer = pins.with_values({"train.seq_len": length + 64})
    assert make(longer, model(), data, RTX_4090).fits != "safe"


def test_way_out_by_quantising() -> None:
    plan = make(recipe('[method]\nname = "lora"\n'), model(), report(), gpu_box(free_gib=12))
    assert plan.fits == "wont_fit"
    assert any(warning.startswith('Set method.name = "qlora"') for warning in plan.warnings)


def test_pinned_values_are_kept_marked_and_explained() -> None:
    pins = {
        "method.rank": 64,
        "method.dropout": 0.2,
        "train.epochs": 1.5,
        "train.learning_rate": 1e-3,
        "train.micro_batch": 2,
        "train.grad_accum": 3,
        "train.seq_len": 512,
        "train.packing": "off",
        "train.gradient_checkpointing": True,
        "train.optimizer": "adamw_8bit",
        "train.precision": "bf16",
        "train.eval_every": 7,
    }
    plan = make(recipe().with_values(pins), model(), report(), RTX_4090)
    assert (plan.method.rank, plan.method.dropout) == (64, 0.2)
    train = plan.train
    assert (train.epochs, train.learning_rate, train.seq_len) == (1.5, 1e-3, 512)
    assert (train.micro_batch, train.grad_accum, train.packing) == (2, 3, False)
    assert (train.gradient_checkpointing, train.optimizer, train.precision) == (True, "adamw_8bit", "bf16")
    assert train.eval_every == 7
    marked = {reason.key for reason in plan.reasons if reason.pinned}
    assert marked == set(pins)
    assert reason(plan, "train.learning_rate") == "your choice; otherwise 2e-4: usual for adapters up to 13B"


def test_alpha_follows_a_pinned_rank() -> None:
    assert make(recipe("[method]\nrank = 64\n"), model(), report(), A100).method.alpha == 128


def test_without_validation_rows_nothing_stops_early() -> None:
    plan = make(recipe(), model(), report(held_out=0), A100)
    assert plan.train.early_stopping == 0
    assert reason(plan, "train.early_stopping") == "there are no validation rows to watch"


def test_without_a_tokenizer_the_plan_says_that_lengths_are_unknown() -> None:
    plan = make(recipe(), model(), report(tokenised=False), A100)
    assert plan.train.seq_len == 2048
    assert any("unknown without the model's tokenizer" in warning for warning in plan.warnings)


def test_plain_text_is_learned_whole() -> None:
    plan = make(
        recipe('[method]\nobjective = "cpt"\n'), smollm2(), report(shape="text", answers="none"), A100
    )
    assert plan.train.loss_on == "all"
    assert plan.train.packing
    assert plan.method.rank == 32


def test_money_needs_a_price_and_a_time() -> None:
    priced = recipe("[limits]\nprice_per_hour = 0.55\n")
    plan = make(priced, model(), report(), RTX_4090)
    assert plan.time_s is not None
    assert plan.money is not None
    assert plan.money.high == pytest.approx(plan.time_s.high / 3600 * 0.55)
    assert make(recipe(), model(), report(), RTX_4090).money is None
    old = make(priced, model(), report(), T4)
    assert old.time_s is None
    assert old.money is None
    assert "published" in old.time_basis


def test_limits_that_end_the_run_early_are_named() -> None:
    limits = "[limits]\nprice_per_hour = 2.0\nmax_hours = 0.01\nmax_cost = 0.01\n"
    plan = make(recipe(limits), model(), report(), RTX_4090)
    assert sum(warning.startswith("limits.") for warning in plan.warnings) == 2


def test_free_memory_that_the_driver_hides_is_not_zero() -> None:
    plan = make(recipe(), model(), report(), gpu_box("Some new card", None, None))
    assert plan.fits == "unknown"
    assert plan.memory_available_bytes is None
    known = make(recipe(), model(), report(), gpu_box("NVIDIA GeForce RTX 4090", None, None))
    assert known.fits == "safe"
    assert any("does not say how much" in warning for warning in known.warnings)


def test_disk_counts_checkpoints_and_exports() -> None:
    bare = make(recipe("[export]\nto = []\n"), model(), report(), A100)
    merged = make(recipe('[export]\nto = ["merged"]\n'), model(), report(), A100)
    gguf = make(recipe('[export]\nto = ["merged", "gguf:q4_k_m"]\n'), model(), report(), A100)
    assert bare.disk_bytes < 5e9 + 2 * 8.04e9  # the download lies on the same disk
    assert merged.disk_bytes - bare.disk_bytes == pytest.approx(2 * 8.03e9, rel=0.01)
    assert gguf.disk_bytes - merged.disk_bytes == pytest.approx(2.62 * 8.03e9, rel=0.01)


def test_what_cannot_be_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError) as raised:
        make(recipe('[method]\nobjective = "dpo"\n'), smollm2(), report(), CPU)
    assert raised.value.problems[0].where == "method.objective"
    assert raised.value.problems[0].fix


@pytest.mark.parametrize(
    ("setting", "where"),
    [('precision = "fp16"', "train.precision"), ('optimizer = "paged_adamw_32bit"', "train.optimizer")],
)
def test_a_recipe_for_a_gpu_is_planned_on_a_processor_but_not_trained_there(setting: str, where: str) -> None:
    chosen = recipe(f"[train]\n{setting}\n")
    plan = make(chosen, smollm2(), report(), CPU)
    assert "This box will not train it" in plan.warnings[0]
    assert [problem.where for problem in conflicts.gpu_only(chosen, plan.device)] == [where]
    assert not conflicts.gpu_only(chosen, "cuda")
    assert plan.on_gpu is not None
    assert plan.on_gpu.context == CUDA_CONTEXT
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).on_gpu == plan.on_gpu


def test_everything_impossible_is_told_at_once() -> None:
    text = '[method]\nobjective = "dpo"\n[train]\npacking = "on"\n'
    with pytest.raises(InputError) as raised:
        make(recipe(text), smollm2(), report(), CPU)
    assert {p.where for p in raised.value.problems} == {"method.objective", "train.packing"}


def test_rank_with_full_training_has_no_effect_and_says_so() -> None:
    plan = make(recipe('[method]\nname = "full"\nrank = 8\n'), smollm2(), report(), A100)
    assert plan.method.rank == 0
    assert any(warning.startswith("method.rank: no effect") for warning in plan.warnings)


def test_four_bit_weights_are_trained_in_four_bits() -> None:
    stored = model(quantized="bitsandbytes")
    assert make(recipe(), stored, report(), A100).method.name == "qlora"
    with pytest.raises(InputError, match="bitsandbytes cannot be trained with lora"):
        make(recipe('[method]\nname = "lora"\n'), stored, report(), A100)


def test_a_model_of_unknown_size_is_refused() -> None:
    with pytest.raises(InputError, match="neither layers nor parameters"):
        make(recipe(), model(None, None), report(), A100)


def test_a_model_of_unknown_layers_is_guessed_from_its_parameters() -> None:
    plan = make(recipe(), model(None, 8_000_000_000), report(), A100)
    assert plan.memory.band == 0.4
    assert "layer sizes guessed from the number of parameters" in plan.memory.assumptions


def test_few_rows_are_warned_about() -> None:
    plan = make(recipe(), model(), report(30), A100)
    assert any("examples in the prompt usually do better" in warning for warning in plan.warnings)


def test_plan_json_has_what_the_contract_names() -> None:
    document = json.loads(json.dumps(make(recipe(), model(), report(), A100).to_json(), allow_nan=False))
    for key in (
        "method",
        "train",
        "steps",
        "tokens",
        "memory",
        "time",
        "money",
        "disk",
        "reasons",
        "warnings",
    ):
        assert key in document
    assert {"peak_bytes", "parts", "band", "fits"} <= document["memory"].keys()
    assert sum(document["memory"]["parts"].values()) == document["memory"]["peak_bytes"]
    assert [plan["title"] for plan in document["alternatives"]] == ["safest", "best quality", "full training"]


# Said only where they are read, or written.
_SOMETIMES = {"beta", "good_weight", "bad_weight", "continue_from", "neftune_alpha", "group_by_length"}
OPEN_KEYS = {
    key
    for key, _ in options()
    if key.startswith(("method.", "train.")) and key.partition(".")[2] not in _SOMETIMES
}


@settings(max_examples=60)
@given(
    rows=st.integers(2, 3000),
    typical=st.integers(10, 3000),
    spread=st.floats(0, 1.2),
    answers=st.sampled_from(["json", "label", "short", "long", "none"]),
    box=st.sampled_from(sorted(BOXES)),
    big=st.booleans(),
    pins=st.fixed_dictionaries(
        {},
        optional={
            "method.name": st.sampled_from(["lora", "qlora", "dora", "full"]),
            "method.rank": st.integers(1, 256),
            "method.alpha": st.integers(1, 512),
            "train.epochs": st.sampled_from([1, 2.5]),
            "train.learning_rate": st.sampled_from([1e-5, 1e-3]),
            "train.micro_batch": st.integers(1, 32),
            "train.grad_accum": st.integers(1, 32),
            "train.seq_len": st.integers(8, 4096),
            "train.packing": st.sampled_from(["on", "off", "auto"]),
            "train.gradient_checkpointing": st.booleans(),
            "train.optimizer": st.sampled_from(["auto", "adamw", "adamw_8bit"]),
            "train.eval_every": st.sampled_from(["auto", 5]),
            "train.max_steps": st.integers(0, 50),
            "train.loss_on": st.sampled_from(["answers", "all"]),
        },
    ),
)
def test_every_key_has_a_reason_and_every_pin_is_kept(
    rows: int, typical: int, spread: float, answers: Any, box: str, big: bool, pins: dict[str, Any]
) -> None:
    data = report(rows, typical=typical, spread=spread, answers=answers)
    written = recipe().with_values(pins)
    plan = make(written, model() if big else smollm2(), data, BOXES[box])
    reasons = {reason.key: reason for reason in plan.reasons}
    assert len(reasons) == len(plan.reasons)
    assert reasons.keys() == OPEN_KEYS
    assert all(reason.why for reason in plan.reasons)
    for key, value in pins.items():
        if value == "auto" or (plan.method.name == "full" and key in ("method.rank", "method.alpha")):
            continue
        section, leaf = key.split(".")
        if leaf == "packing":
            assert plan.train.packing == (value == "on")
        elif leaf != "max_steps":
            assert getattr(getattr(plan, section), leaf) == value
        assert reasons[key].pinned
    assert plan.steps >= 1
    assert plan.train.eval_every >= 1 or plan.train.eval_every == pins.get("train.eval_every")
    assert plan.train.warmup_steps <= plan.steps
    assert sum(plan.memory.parts().values()) == plan.memory.peak_bytes
    assert Plan.from_json(json.loads(json.dumps(plan.to_json(), allow_nan=False))) == plan


@settings(max_examples=20)
@given(
    rank=st.integers(1, 256),
    micro_batch=st.integers(1, 16),
    packing=st.sampled_from(["off", "on"]),
    box=st.sampled_from(["A100", "RTX 4090", "CPU"]),
)
def test_what_is_not_pinned_follows_what_is(rank: int, micro_batch: int, packing: str, box: str) -> None:
    data, base = report(2000), recipe().with_values({"train.packing": packing})
    free = make(base, smollm2(), data, BOXES[box])
    ranked = make(base.with_values({"method.rank": rank}), smollm2(), data, BOXES[box])
    assert (ranked.method.rank, ranked.method.alpha) == (rank, 2 * rank)
    assert (ranked.train.learning_rate, ranked.train.epochs) == (free.train.learning_rate, free.train.epochs)
    assert "your choice" not in reason(ranked, "method.alpha")

    batched = make(base.with_values({"train.micro_batch": micro_batch}), smollm2(), data, BOXES[box])
    assert batched.train.micro_batch == micro_batch
    wanted = 16 if packing == "off" else free.train.effective_batch
    assert abs(batched.train.effective_batch - wanted) <= max(1, micro_batch / 2, micro_batch - wanted)
    assert (batched.method, batched.train.learning_rate) == (free.method, free.train.learning_rate)

    both = {"train.micro_batch": micro_batch, "train.grad_accum": 3, "method.rank": rank}
    pinned = make(base.with_values(both), smollm2(), data, BOXES[box])
    assert (pinned.train.micro_batch, pinned.train.grad_accum, pinned.method.rank) == (micro_batch, 3, rank)
    unpinned = base.with_values(both).with_values(dict.fromkeys(both))
    assert make(unpinned, smollm2(), data, BOXES[box]) == free


@pytest.mark.parametrize(
    ("pin", "follows"),
    [
        ({"train.epochs": 6}, {"steps", "tokens"}),
        ({"train.warmup": 0.2}, {"warmup_steps"}),
        ({"train.max_steps": 10}, {"steps", "tokens", "warmup_steps"}),
        ({"method.name": "full"}, {"learning_rate"}),
    ],
)
def test_one_edit_moves_what_hangs_on_it(pin: dict[str, Any], follows: set[str]) -> None:
    free = make(recipe(), smollm2(), report(2000), A100)
    then = make(recipe().with_values(pin), smollm2(), report(2000), A100)
    for name in ("steps", "tokens"):
        assert (getattr(free, name) != getattr(then, name)) == (name in follows)
    for name in ("warmup_steps", "learning_rate"):
        moved = getattr(free.train, name) != getattr(then.train, name)
        assert moved or name not in follows


def test_pins_that_exclude_each_other_are_both_named() -> None:
    text = '[method]\nobjective = "dpo"\n[train]\npacking = "on"\n'
    with pytest.raises(InputError, match=r'train.packing = "on" and method.objective = "dpo"'):
        make(recipe(text), model(), report(shape="preference"), A100)


def test_a_box_with_several_gpus_says_that_one_is_used() -> None:
    several = Hardware((*A100.gpus, *RTX_4090.gpus), A100.host, A100.driver, A100.cuda_driver)
    plan = make(recipe(), model(), report(), several)
    assert plan.device_name == "NVIDIA A100-SXM4-80GB"
    assert plan.warnings[0].startswith("This box has 2 GPUs. A run uses one of them")
    copies, shards = plan.several
    assert (copies.strategy, shards.strategy) == ("ddp", "fsdp")
    assert shards.parts["weights"] < copies.parts["weights"] == plan.memory.weights
    assert any(line.startswith("2 GPUs, fsdp") for line in plan_lines(plan))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert not any("GPUs" in warning for warning in make(recipe(), model(), report(), A100).warnings)


def test_several_gpus_share_the_rows_of_an_update() -> None:
    pair = Hardware((*A100.gpus, *A100.gpus), A100.host, A100.driver, A100.cuda_driver)
    alone = make(recipe('[train]\npacking = "off"\n'), model(), report(), pair)
    assert (alone.train.gpus, alone.train.strategy) == (1, "single")
    assert 'train.gpus = "all" lets 2 train together' in alone.warnings[0]
    assert alone.several[0].changes == {"train.gpus": 2}
    both = make(recipe('[train]\ngpus = "all"\npacking = "off"\n'), model(), report(), pair)
    assert (both.train.gpus, both.train.strategy) == (2, "ddp")
    assert both.train.effective_batch == alone.train.effective_batch
    assert (both.steps, both.tokens) == (alone.steps, alone.tokens)
    assert both.memory.gradients > 0
    assert both.time_s is not None
    assert alone.time_s is not None
    assert both.time_s.high < alone.time_s.high
    assert next(reason for reason in both.reasons if reason.key == "train.gpus").pinned
    assert Plan.from_json(json.loads(json.dumps(both.to_json()))) == both


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("gpus = 2", "2 GPUs asked for; this box has 1 like"),
        ('gpus = "all"\nstrategy = "fsdp"', r"training in shards \(fsdp\) is not built yet"),
    ],
)
def test_more_gpus_than_there_are_and_shards_are_refused(train: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make(recipe(f"[train]\n{train}\n"), model(), report(), A100)


def test_rows_that_are_not_packed_need_no_more_than_the_longest() -> None:
    lengths = (*([100] * 960), *([700] * 40))
    plan = make(recipe('[train]\npacking = "off"\n'), model(), report(1000, lengths=lengths), RTX_4090)
    assert plan.train.seq_len == 704
