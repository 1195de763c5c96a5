"""How fast the worker trains beside plain trl scripts: the same rows, in turn, steps only, no start-up.

    python bench/training.py DATA [--rows 24] [--rounds 2] [--slow-rows 8]

DATA is a file of rows, such as alpaca_en_demo.json. SmolLM2-135M-Instruct, LoRA of rank 16 on all linear
layers, on the processor. Every contender trains once over the same rows, so that seconds compare as tokens/s
do, and as answer tokens/s. The scripts are in bench/plain_trl.py. Where the processor has no bf16, those that
compute in it are run in fp32, which is the harder comparison, and once as they are, on `--slow-rows` rows.
At the end the validation loss on answers of held-out rows, with each adapter after those same rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tui_ft import pipeline, recipe
from tui_ft.data.prepare import IGNORED
from tui_ft.models import smollm2
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import reality
from tui_ft.settings import Home

PLAIN = Path(__file__).with_name("plain_trl.py")
HELD_OUT = 12
SEED = 7  # of the rows that are drawn
# What a run of a few rows needs otherwise; all else is what the plan chooses for the data.
SETTINGS: dict[str, Any] = {
    "method.name": "lora",
    "method.rank": 16,
    "train.epochs": 1.0,
    "train.dry_run": False,
    "data.ignore": ["too-few-rows"],
    "data.validation": 0.0,
    "data.test": 0.0,
    "export.to": ["merged"],
}
WANTED = {"same": 0.98, "guide": 1.5, "newcomer": 3.5}
WORDS = {
    "tui-ft": "tui-ft, its own plan",
    "same": "(a) plain trl, the same settings",
    "guide": "(b) as guides print it",
    "newcomer": "(c) trl's defaults",
}


@dataclass(slots=True)
class Contender:
    """One way to train, the seconds that each round took, and where its adapter is."""

    name: str
    fp32: bool = False
    seconds: list[float] = field(default_factory=list)
    adapter: Path | None = None
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return WORDS[self.name] + (", kept in fp32" if self.fp32 else "")


@dataclass(frozen=True, slots=True)
class Ground:
    """What all contenders share."""

    scratch: Path
    home: Home
    prepared: pipeline.Prepared
    plan: Path
    rows: Path  # tokenised and masked, learned from
    held_out: Path

    @property
    def model(self) -> str:
        return self.prepared.recipe.model.id


def lay_ground(scratch: Path, data: Path, rows: int) -> Ground:
    """Rows drawn from the data to learn from, and others to be tested on, tokenised and masked."""
    from tui_ft.data import prepare
    from tui_ft.models.tokenizer import ChatTokenizer

    text = data.read_text(encoding="utf-8")
    found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(s) for s in text.splitlines()]
    drawn = random.Random(SEED).sample(found, rows + HELD_OUT)
    home = Home(scratch / "home")
    model = str(smollm2.prepare(home))
    tokenised = {}
    for name, part in (("rows", drawn[:rows]), ("held_out", drawn[rows:])):
        file = scratch / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
        wanted = recipe.parse({"model": {"id": model}, "data": {"path": str(file)}}).with_values(SETTINGS)
        made = pipeline.prepare(wanted, scratch, home)
        tokenised[name] = scratch / name / "train.parquet"
        prepare.prepare(
            wanted.data,
            base=scratch,
            folder=scratch / name,
            tokenizer=ChatTokenizer.load(Path(model)),
            seq_len=made.plan.train.seq_len,
        )
        if name == "rows":
            plan = scratch / "plan.json"
            plan.write_text(json.dumps(made.plan.to_json()))
            prepared = made
    return Ground(scratch, home, prepared, plan, tokenised["rows"], tokenised["held_out"])


def train(contender: Contender, ground: Ground, rows: Path, number: int) -> None:
    """One training; the seconds of its steps are added to the contender's."""
    if contender.name == "tui-ft":
        run: RunFolder = pipeline.start(ground.prepared, ground.home)
        while reality(run).state not in ("finished", "failed", "lost", "stopped", "paused"):
            time.sleep(0.2)
        if reality(run).state != "finished":
            raise SystemExit(run.log.read_text())
        events = [json.loads(line) for line in run.events.read_text().splitlines()]
        steps = [event for event in events if event["kind"] == "step"]
        contender.seconds.append(steps[-1]["t"] - steps[0]["t"] + steps[0]["seconds"])
        settings = run.read_plan().train
        contender.seen = {
            "steps": len(steps),
            "weights": settings.precision,
            "rows_at_once": settings.micro_batch,
            "recomputes": settings.gradient_checkpointing,
        }
        contender.adapter = run.path / "adapter"
        return
    out = ground.scratch / f"{contender.name}-{contender.fp32}-{number}"
    out.mkdir()
    command = [
        sys.executable,
        str(PLAIN),
        contender.name,
        ground.model,
        str(rows),
        str(ground.plan),
        str(out),
    ]
    done = subprocess.run(
        [*command, *(["--fp32"] if contender.fp32 else [])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", **os.environ},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    clock = json.loads((out / "clock.json").read_text())
    contender.seconds.append(clock.pop("seconds"))
    contender.seen, contender.adapter = clock, out / "adapter"


def validation_losses(ground: Ground, adapters: dict[str, Path | None]) -> dict[str, float]:
    """Mean loss of an answer's tokens, held out, in fp32, with each adapter; None is the bare model."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    found: dict[str, float] = {}
    for name, folder in adapters.items():
        model = AutoModelForCausalLM.from_pretrained(ground.model, dtype=torch.float32)
        if folder is not None:
            model = PeftModel.from_pretrained(model, str(folder)).float()
        model.eval()
        total = learned = 0.0
        with torch.inference_mode():
            for row in pq.read_table(ground.held_out, columns=["input_ids", "labels"]).to_pylist():
                ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
                number = int((labels[:, 1:] != IGNORED).sum())
                total += float(model(input_ids=ids, labels=labels).loss) * number
                learned += number
        found[name] = total / learned
    return found


def answer_tokens(rows: Path) -> tuple[int, int]:
    """All tokens of these rows, and those that are learned from as answers."""
    table = pq.read_table(rows, columns=["labels"]).to_pylist()
    return sum(len(row["labels"]) for row in table), sum(
        label != IGNORED for row in table for label in row["labels"][1:]
    )


def compare(ground: Ground, rounds: int, slow_rows: int) -> int:
    """The interleaved runs and their table; 1 when a ratio is missed."""
    bf16 = ground.prepared.hardware.host.cpu_bf16
    field_ = [
        Contender("tui-ft"),
        Contender("same"),
        Contender("guide", fp32=not bf16),
        Contender("newcomer", fp32=not bf16),
    ]
    for number in range(rounds):
        for contender in field_:
            train(contender, ground, ground.rows, number)
            print(f"round {number + 1}: {contender.words} {contender.seconds[-1]:.1f} s", file=sys.stderr)
    ours = field_[0]
    tokens, answers = answer_tokens(ground.rows)
    print(f"{tokens:,} tokens, {answers:,} of them in answers; load {os.getloadavg()[0]:.1f} at the end\n")
    print("| | weights, rows at once | steps | seconds | answer tokens/s | tui-ft is | wanted |")
    print("|---|---|---|---|---|---|---|")
    kept = True
    for contender in field_:
        ratios = [theirs / own for theirs, own in zip(contender.seconds, ours.seconds, strict=True)]
        wanted = WANTED.get(contender.name)
        kept &= wanted is None or statistics.median(ratios) >= wanted
        _line(contender, answers, f"{_spread(ratios)} ×", f"{wanted} ×" if wanted else "")
    if slow_rows and not bf16:
        few = ground.scratch / "few.parquet"
        pq.write_table(pq.read_table(ground.rows).slice(0, slow_rows), few)
        own = answers / statistics.median(ours.seconds)
        for contender in (Contender("guide"), Contender("newcomer")):
            train(contender, ground, few, 0)
            fewer = answer_tokens(few)[1]
            ratio = own / (fewer / contender.seconds[0])
            _line(contender, fewer, f"{ratio:.2f} ×, {slow_rows} rows", "")
    adapters: dict[str, Path | None] = {"the model before": None}
    losses = validation_losses(ground, adapters | {c.words: c.adapter for c in field_})
    print("\n| after the same rows | seconds | validation loss |\n|---|---|---|")
    seconds = {c.words: f"{statistics.median(c.seconds):.1f}" for c in field_}
    for name, loss in losses.items():
        print(f"| {name} | {seconds.get(name, '')} | {loss:.4f} |")
    return 0 if kept else 1


def _line(contender: Contender, answers: int, ratio: str, wanted: str) -> None:
    seen = contender.seen
    weights = f"{seen['weights'].removeprefix('torch.')}, {seen['rows_at_once']}"
    rates = [answers / seconds for seconds in contender.seconds]
    print(
        f"| {contender.words} | {weights}{', recomputes' if seen['recomputes'] else ''} | {seen['steps']} "
        f"| {_spread(contender.seconds, 1)} | {_spread(rates, 0)} | {ratio} | {wanted} |",
        flush=True,
    )


def _spread(values: list[float], digits: int = 2) -> str:
    """Median, and lowest to highest of several."""
    middle = f"{statistics.median(values):.{digits}f}"
    return f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})" if len(values) > 1 else middle


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="file of rows, JSON or JSONL")
    parser.add_argument("--rows", type=int, default=24, help="learned from in every training")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--slow-rows", type=int, default=8, help="of the scripts in bf16 where that is emulated"
    )
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"load {load:.1f} at the start; {os.cpu_count()} cores; {args.rows} rows, {args.rounds} rounds")
    with tempfile.TemporaryDirectory() as scratch:
        return compare(lay_ground(Path(scratch), args.data, args.rows), args.rounds, args.slow_rows)


if __name__ == "__main__":
    sys.exit(main())
