"""How good the memory figures are: formula and exact predictor against traces and published measurements.

    python bench/memory.py                  the tables
    python bench/memory.py --write          into docs/memory.md
    python bench/memory.py --trace N        run the exact predictor on N more rows and keep its figures
    python bench/memory.py --published      run it on the published rows

Figures of the exact predictor take seconds each and are kept in bench/memory_exact.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.planning.traces import (  # noqa: E402
    PUBLISHED,
    TRACES,
    config_of,
    error,
    formula,
    method_of,
    train_of,
)
from tui_ft.planning.memory import CUBLAS_WORKSPACE  # noqa: E402

KEPT = ROOT / "bench" / "memory_exact.jsonl"
PAGE = ROOT / "docs" / "memory.md"
BEGIN, END = "<!-- tables: bench/memory.py --write -->", "<!-- end of tables -->"
Errors = Mapping[str, list[float]]


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--trace", type=int, default=0)
    parser.add_argument("--published", action="store_true")
    args = parser.parse_args()
    if args.trace:
        trace_rows(args.trace)
    if args.published:
        trace_published()
    text = "\n".join(tables())
    if args.write:
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        tail = rest.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")
    print(text)


# -- running the exact predictor


def trace_rows(number: int) -> None:
    """Trace rows that were not yet: those drawn at random first, then the others shuffled."""
    done = {entry["row"] for entry in kept() if entry["of"] == "traces"}
    others = [index for index, row in enumerate(TRACES) if row["set"] != "random"]
    random.Random(1).shuffle(others)
    order = [index for index, row in enumerate(TRACES) if row["set"] == "random"] + others
    for index in [index for index in order if index not in done][:number]:
        keep("traces", index, TRACES[index])


def trace_published() -> None:
    """Trace the published rows with the loss and the optimizer of their stack."""
    from tui_ft.planning.tracing import step

    usual, batch = step.learned_loss, step._batch
    step.Optimizer = _foreach()
    step._batch = lambda train: {k: v for k, v in batch(train).items() if k != "attention_mask"}
    done = {entry["row"] for entry in kept() if entry["of"] == "published"}
    for index, row in enumerate(PUBLISHED):
        if index in done:
            continue
        step.learned_loss = _whole_logits(row["head"]) if row["head"] != "fused" else usual
        keep("published", index, row)


def _foreach() -> Any:
    """torch's AdamW over lists of tensors, with its temporaries; the worker uses the fused one."""
    import torch

    from tui_ft.planning.tracing.optimizers import Optimizer

    class Foreach(Optimizer):
        def make_states(self) -> None:
            self._adam = torch.optim.AdamW(self.parameters, foreach=True)
            for parameter in self.parameters:
                parameter.grad = torch.zeros_like(parameter)
            self._adam.step()
            self.zero_grad()

        def step(self) -> None:
            self._adam.step()

    return Foreach


def _whole_logits(head: str) -> Any:
    """transformers' own loss on fp32 logits; up to 4.49 it copied them to shift them."""
    import torch

    def loss(model: Any, batch: Mapping[str, Any]) -> Any:
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        hidden = base.model(input_ids=batch["input_ids"], use_cache=False).last_hidden_state
        half = base.lm_head(hidden)
        logits, labels = half.float(), batch["labels"]
        scored = logits
        if head == "shifted":  # a copy, while the logits themselves are still there
            scored, labels = logits[..., :-1, :].contiguous(), labels[..., 1:]
        else:
            del half
        return torch.nn.functional.cross_entropy(scored.view(-1, scored.size(-1)), labels.reshape(-1))

    return loss


def keep(of: str, index: int, row: Mapping[str, Any]) -> None:
    """Trace one row and append its figure."""
    from tui_ft.planning.tracing.building import read_config
    from tui_ft.planning.tracing.depth import trace_whole
    from tui_ft.planning.tracing.step import Job

    began = time.monotonic()
    job = Job(method_of(dict(row)), train_of(dict(row)), "cuda", 1.0)
    whole = trace_whole(read_config(config_of(dict(row))), job)
    (moment, _), peak = max(whole.peaks.items(), key=lambda entry: entry[1].total)
    states = peak.parts.get("optimizer", 0) if row["optimizer"].startswith("paged") else 0
    entry = {
        "of": of,
        "row": index,
        "peak": peak.total + CUBLAS_WORKSPACE,
        "paged_states": states,
        "at": moment,
        "seconds": round(time.monotonic() - began, 1),
    }
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(row["model_type"], row["method"], entry, file=sys.stderr, flush=True)


def kept() -> list[dict[str, Any]]:
    """The figures so far."""
    if not KEPT.exists():
        return []
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


# -- tables


def tables() -> Iterator[str]:
    """All tables as Markdown."""
    yield "### The instant formula against the reference traces\n"
    errors = [(row, error(row, formula(row))) for row in TRACES]
    yield from table("method", by(errors, _method_of))
    yield ""
    yield from table("architecture", by(errors, lambda row: row["model_type"]))
    yield ""
    yield from table("setting", by(errors, _setting))
    yield ""
    yield from table("size", by(errors, _size))
    yield "\n### The exact predictor against the reference traces\n"
    exact = [
        (TRACES[entry["row"]], (entry["peak"] - entry["paged_states"]) / TRACES[entry["row"]]["peak"] - 1)
        for entry in kept()
        if entry["of"] == "traces"
    ]
    yield from table("method", by(exact, _method_of))
    yield ""
    yield from table("set", by(exact, _set))
    yield "\n### Against published measurements\n"
    yield from published()


def by(errors: Iterable[tuple[dict[str, Any], float]], group: Any) -> Errors:
    """Errors by group, and all of them last."""
    groups: dict[str, list[float]] = defaultdict(list)
    every = []
    for row, value in errors:
        groups[group(row)].append(value)
        every.append(value)
    return {**dict(sorted(groups.items())), "all": every}


def table(name: str, errors: Errors) -> Iterator[str]:
    """Mean of the absolute errors, and both ends."""
    yield f"| {name} | rows | mean | most under | most over |"
    yield "|---|---|---|---|---|"
    for group, values in errors.items():
        if values:
            mean = sum(map(abs, values)) / len(values)
            ends = f"{min(0, *values, 0):+.2%} | {max(0, *values, 0):+.2%}"
            yield f"| {group} | {len(values)} | {mean:.2%} | {ends} |"


def published() -> Iterator[str]:
    """One line per published row."""
    yield "| model | method | rows × tokens | measured, GB | formula | exact |"
    yield "|---|---|---|---|---|---|"
    exact = {entry["row"]: entry["peak"] for entry in kept() if entry["of"] == "published"}
    closed, traced = [], []
    for index, row in enumerate(PUBLISHED):
        measured = row["measured"]
        shown = "not modelled: whole logits"
        if row["head"] == "fused":
            closed.append(formula(row).allocated_bytes / measured - 1)
            shown = f"{closed[-1]:+.1%}"
        figure = "–"
        if index in exact:
            traced.append(exact[index] / measured - 1)
            figure = f"{exact[index] / 1e9:.2f} ({traced[-1]:+.1%})"
        size = f"{row['micro_batch']} × {row['seq']:,}"
        yield f"| {row['model']} | {row['method']} | {size} | {measured / 1e9:.2f} | {shown} | {figure} |"
    if traced:
        yield f"\nExact: mean {sum(map(abs, traced)) / len(traced):.2%}, worst {max(traced, key=abs):+.2%}."


def _method_of(row: dict[str, Any]) -> str:
    return f"{row['method']}, checkpointing {'on' if row['checkpointing'] else 'off'}"


def _setting(row: dict[str, Any]) -> str:
    rows = "packed" if row.get("packing") else ("padded" if row["micro_batch"] > 1 else "one row")
    return f"{rows}, {row['precision']}, {row['optimizer']}"


def _set(row: dict[str, Any]) -> str:
    padded = row["micro_batch"] > 1 and not row.get("packing")
    return f"{row['set']}, {'padded' if padded else 'not padded'}"


def _size(row: dict[str, Any]) -> str:
    billions = formula(row).weights / (2 if row["precision"] == "bf16" else 4) / 1e9
    billions *= 4 if row["method"] == "qlora" else 1
    for limit in (1, 3, 10, 30):
        if billions < limit:
            return f"below {limit:2d}B as traced"
    return "from 30B as traced"


if __name__ == "__main__":
    main()
