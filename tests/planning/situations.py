"""Models, data and boxes to plan with; made up, but of real sizes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

from tui_ft import recipe as recipes
from tui_ft.data.rows import ColumnMapping, DatasetReport, Lengths, SplitSizes
from tui_ft.data.rows import Shape as DataShape
from tui_ft.hardware.facts import Gpu, Hardware, Host, Mount
from tui_ft.models.facts import Dims, ModelFacts
from tui_ft.recipe import Recipe
from tui_ft.text import GIB

LLAMA_8B = Dims(32, 4096, 14336, 32, 8, 128, 128256, tied=False)
LLAMA_70B = Dims(80, 8192, 28672, 64, 8, 128, 128256, tied=False)
QWEN_7B = Dims(28, 3584, 18944, 28, 4, 128, 152064, tied=False)
SMOLLM2 = Dims(30, 576, 1536, 9, 3, 64, 49152, tied=True)


def model(
    dims: Dims | None = LLAMA_8B,
    parameters: int | None = 8_030_261_248,
    *,
    model_type: str = "llama",
    context: int | None = 131_072,
    quantized: str | None = None,
) -> ModelFacts:
    """A model nobody has downloaded."""
    return ModelFacts(
        id="owner/model",
        folder=None,
        revision=None,
        source="hub",
        model_type=model_type,
        architecture="LlamaForCausalLM",
        dims=dims,
        parameters=parameters,
        parameters_exact=True,
        weight_bytes=None,
        dtype="BF16",
        context_length=context,
        chat_template="{{ messages }}",
        licence="apache-2.0",
        gated=False,
        quantized=quantized,
        needs_remote_code=False,
    )


def smollm2() -> ModelFacts:
    """The demo's model."""
    return model(SMOLLM2, 134_515_008, context=8192)


def report(
    rows: int = 620,
    *,
    typical: int = 250,
    spread: float = 0.5,
    answers: Literal["json", "label", "short", "long", "none"] = "json",
    shape: DataShape = "messages",
    held_out: float = 0.1,
    lengths: tuple[int, ...] | None = None,
    tokenised: bool = True,
) -> DatasetReport:
    """Rows whose lengths are spread around `typical` tokens; the same every time."""
    chance = random.Random(rows)
    if lengths is None:
        lengths = tuple(int(typical * chance.lognormvariate(0, spread)) + 8 for _ in range(rows))
    out = int(rows * held_out)
    return DatasetReport(
        paths=("/data/support.jsonl",),
        rows=rows,
        usable_rows=rows,
        mapping=ColumnMapping(shape, {}, confident=True),
        findings=(),
        sizes=SplitSizes(rows - 2 * out, out, out),
        lengths=Lengths(lengths, sum(lengths) // 3, sum(lengths)) if tokenised else None,
        answers_look_like=answers,
        median_answer_characters=80,
    )


def gpu_box(
    name: str = "NVIDIA GeForce RTX 4090",
    free_gib: float | None = 23.1,
    capability: tuple[int, int] | None = (8, 9),
) -> Hardware:
    """One GPU."""
    free = None if free_gib is None else round(free_gib * GIB)
    gpu = Gpu(0, "GPU-0", name, free, free, capability, 0.0, 40, 60.0, 450.0)
    return Hardware((gpu,), host(), "580.1", (13, 0))


def cpu_box(*, cores: int = 2, ram_gib: float = 20, bf16: bool = False) -> Hardware:
    """No GPU."""
    return Hardware((), host(cores=cores, ram_gib=ram_gib, bf16=bf16), None, None)


def host(*, cores: int = 8, ram_gib: float = 60, bf16: bool = False, disk_gib: float = 180) -> Host:
    """The machine around."""
    ram = round(ram_gib * GIB)
    mount = Mount(Path("/"), round(2 * disk_gib * GIB), round(disk_gib * GIB), ("runs", "model cache"))
    return Host("a processor", cores, ram, ram, False, bf16, (mount,))


A100, RTX_4090, T4, CPU = (
    gpu_box("NVIDIA A100-SXM4-80GB", 78.5, (8, 0)),
    gpu_box(),
    gpu_box("Tesla T4", 14.5, (7, 5)),
    cpu_box(),
)
BOXES = {"A100": A100, "RTX 4090": RTX_4090, "T4": T4, "CPU": CPU}


def recipe(text: str = "") -> Recipe:
    """A recipe with what every recipe needs, and `text`."""
    return recipes.loads(f'[model]\nid = "owner/model"\n[data]\npath = "support.jsonl"\n{text}')
