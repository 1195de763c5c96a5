"""A run of a million events: how soon and in how much memory it opens; and what telling costs a training.

python bench/events.py [events]        default: 1000000
python bench/events.py --training      cost of every step's telling, beside the step itself; a minute or two
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tui_ft.runs import status
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status
from tui_ft.settings import Home

RUN = "million-20260101-000000-abcd"
LIMIT_S, LIMIT_MB = 1.0, 150.0
ROWS, STEPS, TURNS = 80, 15, 2
SETTINGS: dict[str, Any] = {
    "method.name": "lora",
    "train.micro_batch": 1,
    "train.grad_accum": 1,
    "train.max_steps": STEPS,
    "train.packing": "off",
    "train.precision": "fp32",
    "train.dry_run": False,
    "data.validation": 0.0,
    "data.test": 0.0,
    "export.to": ["merged"],
}


def write_run(home: Home, number: int) -> RunFolder:
    """A finished run: a step per event, gauges at every 50th and an evaluation at every 1000th."""
    folder = RunFolder(home.runs / RUN)
    folder.path.mkdir(parents=True)
    plan = {"name": "million", "steps": number, "train": {"epochs": 3, "eval_every": 1000}}
    folder.plan.write_text(json.dumps(plan))
    folder.recipe.write_text('[model]\nid = "m"\n[data]\npath = "d"\n')
    began = time.time() - number
    with EventLog(folder.events) as log:
        log.append("start", job="train", resumed_from=None)
    with folder.events.open("ab") as file:
        for step in range(1, number):
            file.write(_line(step, number, began))
    status.write(folder, Status("finished", heartbeat=time.time(), step=number, steps=number))
    return folder


def training() -> int:
    """The same short training with and without its telemetry, in turn; 1 when it costs over 1 %."""
    from tui_ft import pipeline, recipe
    from tui_ft.models import smollm2

    with tempfile.TemporaryDirectory() as scratch:
        home, rows = Home(Path(scratch)), Path(scratch) / "rows.jsonl"
        rows.write_text("".join(json.dumps(_row(number)) + "\n" for number in range(ROWS)))
        document = {"model": {"id": str(smollm2.prepare(home))}, "data": {"path": str(rows)}}
        wanted = recipe.parse(document).with_values(SETTINGS)
        found: dict[str, list[dict[str, Any]]] = {"told": [], "untold": []}
        for turn in range(2 * TURNS):
            which = ("told", "untold")[turn % 2]
            run = pipeline.make(pipeline.prepare(wanted, rows.parent, home), home)
            figures = Path(scratch) / "figures.json"
            command = [sys.executable, __file__, "--child", which, "--figures", str(figures), "--home"]
            subprocess.run([*command, str(run.path)], check=True, stderr=subprocess.DEVNULL)
            found[which].append(json.loads(figures.read_text()))
    steps = {which: [s for one in runs for s in one["steps"]] for which, runs in found.items()}
    told, untold = (statistics.median(steps[which]) * 1e6 for which in ("told", "untold"))
    parts = {
        name: statistics.median(one["parts"][name] for one in found["told"])
        for name in found["told"][0]["parts"]
    }
    cost = sum(parts.values())
    print(f"SmolLM2-135M, LoRA, 1 row of about 60 tokens a step, {STEPS} steps, {TURNS} trainings each\n")
    print("| | processor time a step |\n|---|---|")
    print(f"| with telemetry, median | {told:,.0f} µs |\n| without, median | {untold:,.0f} µs |")
    for name, seconds in parts.items():
        print(f"| {name}, measured inside | {seconds:,.0f} µs |")
    print(f"| all of it, share of a step | {cost / told:.2%} |")
    return 0 if cost / told <= 0.01 else 1


def _row(number: int) -> dict[str, Any]:
    question = f"Printer {number} on floor {number % 9} does not answer since Monday and my invoice is wrong."
    return {
        "prompt": question,
        "completion": f"Ticket {number}: the printer is looked at, the invoice is checked.",
    }


def one_training(told: bool, folder: RunFolder) -> dict[str, Any]:
    """Be the worker of this run; processor seconds of each step, and µs a step of each part that tells."""
    from tui_ft.training import callbacks, gauges, worker
    from tui_ft.training.trainer import Trainer

    spent = {"numbers of the step": 0.0, "requests, limits, what is due": 0.0, "gauges and heartbeat": 0.0}
    began: list[float] = []
    owners = {
        "numbers of the step": (callbacks.Telemetry, ("on_step_begin", "on_step_end", "on_log")),
        "requests, limits, what is due": (callbacks.Pilot, ("on_step_begin", "on_step_end")),
        "gauges and heartbeat": (gauges.Pulse, ("__call__",)),
    }

    def measured(name: str, function: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - start if len(began) > 1 else 0.0

        return timed

    for name, (owner, methods) in owners.items():
        for method in methods:
            if told:
                setattr(owner, method, measured(name, getattr(owner, method)))
            elif owner is not callbacks.Pilot and method != "on_step_end":  # those save, and count tokens
                setattr(owner, method, lambda *args, **kwargs: None)
    step = Trainer.training_step

    def counted(*args: Any, **kwargs: Any) -> Any:
        began.append(time.process_time())  # other work on the machine does not count
        return step(*args, **kwargs)

    Trainer.training_step = counted
    if code := worker.main([str(folder.path)]):
        raise SystemExit(code)
    steps = [later - earlier for earlier, later in pairwise(began[1:])]
    return {"steps": steps, "parts": {name: 1e6 * seconds / len(steps) for name, seconds in spent.items()}}


def _line(step: int, number: int, began: float) -> bytes:
    stamp = f'{{"t":{began + step:.3f},'
    if step % 1000 == 0:
        loss = 2 - step / number
        return f'{stamp}"kind":"eval","job":"train","step":{step},"eval_loss":{loss:.4f}}}\n'.encode()
    if step % 50 == 0:
        host = '"host":{"cpu":0.93,"ram_used_bytes":9123456789,"ram_total_bytes":25123456789}'
        return f'{stamp}"kind":"gauges","gpus":[],{host}}}\n'.encode()
    loss = 2.5 - step / number + (step * 2_654_435_761 % 1000) / 5000
    return (
        f'{stamp}"kind":"step","step":{step},"loss":{loss:.15f},"lr":{2e-4 * (1 - step / number):.18f},'
        f'"grad_norm":{1 + step % 97 / 97:.15f},"tokens_per_s":{9000 + step % 311}.123456789,'
        f'"tokens":{step * 8123},"seconds":0.9012,"waited_s":0.0001,"epoch":{3 * step / number:.4f},'
        f'"entropy":1.2345678901234567,"accuracy":0.6789012345678901,"memory_bytes":17123456789}}\n'
    ).encode()


def naive(home: Home) -> dict[str, Any]:
    """What the simplest reader does: every line parsed and kept."""
    with (home.runs / RUN / "events.jsonl").open() as file:
        events = [json.loads(line) for line in file]
    return {"found": len(events)}


def watcher(home: Home) -> dict[str, Any]:
    """What `tui-ft show` and every dashboard use."""
    from tui_ft.runs.view import RunWatcher

    following = RunWatcher(RunFolder(home.runs / RUN))
    found = following.poll()
    began = time.perf_counter()
    following.poll()
    again = time.perf_counter() - began
    return {"found": len(found.curves["loss"].steps), "again_s": again}


def dashboard(home: Home) -> dict[str, Any]:
    """The dashboard itself at 120×40, until the curve of the run is on the screen."""
    from tui_ft.screens import terminal

    here = terminal.look(os.environ, color="truecolor", ascii=False)
    terminal.tune(here, os.environ)
    from tui_ft.screens.shell import TuiFt

    async def opened() -> dict[str, float]:
        app = TuiFt(home, here, recipe=None, run=RUN)
        began, busy = time.perf_counter(), time.process_time()
        async with app.run_test(size=(120, 40)):
            while getattr(app.screen, "view", None) is None or "train" not in _screen(app):
                await asyncio.sleep(0.01)
            return {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - busy}

    return asyncio.run(opened())


def _screen(app: Any) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


READERS = {reader.__name__: reader for reader in (naive, watcher, dashboard)}


def read(name: str, home: Home) -> None:
    """Be one of the readers, and print what it took as JSON."""
    began, busy = time.perf_counter(), time.process_time()
    found = READERS[name](home)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu, "peak_mb": peak, **found}))


def compare(number: int) -> int:
    """Each reader in a process of its own, the fastest of three; 1 when a promise is not kept.

    What is held to the limit is the processor's time, which other work on the machine does not change.
    """
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch))
        folder = write_run(home, number)
        size = folder.events.stat().st_size / 1e6
        print(f"{number:,} events, {size:,.0f} MB; fastest of three, memory is the peak of the process\n")
        print("| reader | opens in | processor time | peak memory |\n|---|---|---|---|")
        kept = True
        for name in READERS:
            runs = [_child(name, scratch) for _ in range(3)]
            best = min(runs, key=lambda found: found["cpu_s"])
            again = f", then {best['again_s'] * 1000:.1f} ms a look" if "again_s" in best else ""
            took = f"{best['seconds']:.2f} s{again} | {best['cpu_s']:.2f} s"
            print(f"| {name} | {took} | {best['peak_mb']:,.0f} MB |", flush=True)
            if name != "naive":
                kept &= best["cpu_s"] < LIMIT_S and best["peak_mb"] < LIMIT_MB
    print(f"\nunder {LIMIT_S:g} s of processor time and {LIMIT_MB:g} MB: {'yes' if kept else 'no'}")
    return 0 if kept else 1


def _child(name: str, scratch: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--read", name, "--home", scratch],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--read", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=("told", "untold"), help=argparse.SUPPRESS)
    parser.add_argument("--figures", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        read(args.read, Home(args.home))
        return 0
    if args.training:
        return training()
    if args.child:
        Path(args.figures).write_text(json.dumps(one_training(args.child == "told", RunFolder(args.home))))
        return 0
    return compare(args.events)


if __name__ == "__main__":
    sys.exit(main())
