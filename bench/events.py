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
from pathlib import Path
from typing import Any

from tui_ft.runs import status
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status
from tui_ft.settings import Home

RUN = "million-20260101-000000-abcd"
LIMIT_S, LIMIT_MB = 1.0, 150.0


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


def _line(step: int, number: int, began: float) -> bytes:
    stamp = f'{{"t":{began + step:.3f},'
    if step % 1000 == 0:
        return f'{stamp}"kind":"eval","job":"train","step":{step},"eval_loss":{2 - step / number:.4f}}}\n'.encode()
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

    async def opened() -> float:
        app = TuiFt(home, here, recipe=None, run=RUN)
        began = time.perf_counter()
        async with app.run_test(size=(120, 40)):
            while getattr(app.screen, "view", None) is None or "train" not in _screen(app):
                await asyncio.sleep(0.01)
            return time.perf_counter() - began

    return {"seconds": asyncio.run(opened()), "found": 1}


def _screen(app: Any) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


READERS = {reader.__name__: reader for reader in (naive, watcher, dashboard)}


def read(name: str, home: Home) -> None:
    """Be one of the readers, and print what it took as JSON."""
    began = time.perf_counter()
    found = READERS[name](home)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, **found}))


def compare(number: int) -> int:
    """Each reader in a process of its own, the fastest of three; 1 when a promise is not kept."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch))
        folder = write_run(home, number)
        size = folder.events.stat().st_size / 1e6
        print(f"{number:,} events, {size:,.0f} MB; fastest of three, memory is the peak of the process\n")
        print("| reader | opens in | peak memory |\n|---|---|---|")
        kept = True
        for name in READERS:
            runs = [_child(name, scratch) for _ in range(3)]
            best = min(runs, key=lambda found: found["seconds"])
            again = f", then {best['again_s'] * 1000:.1f} ms a look" if "again_s" in best else ""
            print(f"| {name} | {best['seconds']:.2f} s{again} | {best['peak_mb']:,.0f} MB |", flush=True)
            if name != "naive":
                kept &= best["seconds"] < LIMIT_S and best["peak_mb"] < LIMIT_MB
    print(f"\nunder {LIMIT_S:g} s and {LIMIT_MB:g} MB: {'yes' if kept else 'no'}")
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
    args = parser.parse_args()
    if args.read:
        read(args.read, Home(args.home))
        return 0
    if args.training:
        return 0
    return compare(args.events)


if __name__ == "__main__":
    sys.exit(main())
