"""A wizard with everything filled in, the same on every machine: for pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tui_ft.screens import terminal
from tui_ft.screens.draft import Draft, Place
from tui_ft.screens.shell import TuiFt

from tests.sample_plan import make_plan
from tui_ft.advice.verdict import decide
from tui_ft.data.rows import ColumnMapping, DatasetReport, Example, Finding, Lengths, SplitSizes
from tui_ft.hardware.facts import Gpu, Hardware, Host, Mount
from tui_ft.models.facts import Dims, ModelFacts
from tui_ft.planning.plan import MemoryEstimate, Plan, Range, Reason
from tui_ft.settings import Home

GIB = 1 << 30
ANSWERS: dict[str, str | tuple[str, ...]] = {
    "gap": "form",
    "behaviour": ("format",),
    "tried": ("instructions", "few_shot"),
    "result": "not_enough",
    "limits": ("none",),
    "examples": "500_to_999",
    "stability": "stable",
    "hosting": "own",
    "measure": "test_rows",
}


_REACHED = {"welcome": 0, "question": 0, "verdict": 0, "hardware": 1, "model": 2, "data": 3}


def hardware() -> Hardware:
    """A rented box with one card."""
    gpu = Gpu(
        index=0,
        uuid="GPU-0",
        name="NVIDIA GeForce RTX 4090",
        total_bytes=24 * GIB,
        free_bytes=int(23.1 * GIB),
        capability=(8, 9),
        utilisation=0.0,
        temperature_c=38,
        power_w=21.0,
        power_limit_w=450.0,
    )
    mount = Mount(Path("/workspace"), 250 * GIB, 180 * GIB, ("runs", "model cache"))
    host = Host("AMD EPYC 7543", 16, 64 * GIB, 58 * GIB, True, False, (mount,))
    return Hardware((gpu,), host, "580.95.05", (13, 0))


def model() -> ModelFacts:
    """A gated model whose weights are on the hub."""
    return ModelFacts(
        id="meta-llama/Llama-3.1-8B-Instruct",
        folder=None,
        revision="0e9e39f249a16976918f6564b8830bc894c89659",
        source="hub",
        model_type="llama",
        architecture="LlamaForCausalLM",
        dims=Dims(32, 4096, 14336, 32, 8, 128, 128_256, False),
        parameters=8_030_261_248,
        parameters_exact=True,
        weight_bytes=16_060_522_496,
        dtype="BF16",
        context_length=131_072,
        chat_template="{{ messages }}",
        licence="llama3.1",
        gated=True,
        quantized=None,
        needs_remote_code=False,
    )


def report() -> DatasetReport:
    """Tickets with a few things to see."""
    lengths = tuple(60 + (number * 7919) % 420 for number in range(617)) + (1840, 2210, 2480)
    return DatasetReport(
        paths=("support.jsonl",),
        rows=623,
        usable_rows=620,
        mapping=ColumnMapping("prompt-completion", {"prompt": "ticket", "completion": "answer"}, True),
        findings=(
            Finding(
                "unparseable", "error", 3, "3 rows cannot be read.", "They are lost.", "Repair these lines.",
                (Example("support.jsonl", 211, '{"ticket": "My printer'),),
            ),
            Finding("duplicates", "warning", 12, "12 rows are an exact copy of an earlier row.", "", ""),
            Finding("unused-columns", "info", 1, "Some columns are not used: agent.", "", ""),
        ),
        sizes=SplitSizes(496, 62, 62),
        lengths=Lengths(lengths, 41_020, sum(lengths)),
        answers_look_like="json",
        median_answer_characters=74,
    )  # fmt: skip


def plan() -> Plan:
    """The plan of the drawn screen."""
    made = make_plan(
        name="support-json",
        model_id="meta-llama/Llama-3.1-8B-Instruct",
        device="cuda",
        device_name="NVIDIA GeForce RTX 4090",
        memory=MemoryEstimate(
            int(5.3 * GIB), int(0.1 * GIB), int(0.2 * GIB), 0, int(1.7 * GIB), int(0.5 * GIB), int(0.6 * GIB),
            int(8.4 * GIB), 0.04, "the loss head of the last micro-batch",
        ),
        memory_available_bytes=int(23.1 * GIB),
        steps=105,
        rows_train=496,
        rows_validation=62,
        rows_test=62,
        time_s=Range(2280, 3120),
        money=Range(0.35, 0.48),
        disk_bytes=21 * GIB,
        disk_free_bytes=180 * GIB,
        reasons=(
            Reason("method.name", "qlora", "LoRA needs 19.8 GiB: tight here, 1.3× faster", "guides A, B"),
            Reason("method.rank", "16", "620 rows, format task; 32 above 10,000 rows", "guide B"),
            Reason("train.learning_rate", "2e-4", "usual for adapters up to 13B", "guides A, E"),
            Reason("train.epochs", "3", "your choice; otherwise 2", "recipe", pinned=True),
            Reason("train.seq_len", "1024", "whole answer kept in 99.4 % (2,048: 100 %, +1.9 GiB)"),
            Reason("train.packing", "on", "38 % less padding"),
        ),
    )  # fmt: skip
    return replace(
        made,
        method=replace(made.method, name="qlora", rank=16, alpha=32),
        train=replace(
            made.train, epochs=3.0, micro_batch=4, grad_accum=4, seq_len=1024, packing=True, precision="bf16",
            optimizer="paged_adamw_32bit", gradient_checkpointing=True,
        ),
    )  # fmt: skip


def wizard(home: Path, place: Place, *, color: terminal.Color = "truecolor", ascii: bool = False) -> TuiFt:  # noqa: A002
    """The app, filled in and standing at `place`."""
    here = terminal.look({"TERM": "xterm-256color", "LANG": "C.UTF-8"}, color=color, ascii=ascii)
    app = TuiFt(Home(home), here)
    app.draft = Draft(
        place=place,
        answers={} if place in ("welcome", "question") else ANSWERS,
        reached=_REACHED.get(place, 4),
        name="" if place in ("welcome", "question", "verdict") else "support-json",
        recipe={}
        if place in ("welcome", "question")
        else {
            "model": {"id": "meta-llama/Llama-3.1-8B-Instruct"},
            "data": {"path": "/workspace/support.jsonl"},
            "train": {"epochs": 3},
            "limits": {"price_per_hour": 0.55},
        },
        verdict=decide(ANSWERS) if place not in ("welcome", "question") else None,
        hardware=hardware(),
        facts=model() if _REACHED.get(place, 4) >= 2 else None,
        report=report() if _REACHED.get(place, 4) >= 3 else None,
        plan=plan() if _REACHED.get(place, 4) >= 4 else None,
    )
    return app
