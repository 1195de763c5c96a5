"""A full check of many chat rows: time, memory, growth, beside reading alone and a naive search for copies.

python bench/data.py [rows ...]        default: 10000 100000 1000000
python bench/data.py --model FOLDER    whose tokenizer and template are used; default: the demo's model
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tui_ft.data.check import check
from tui_ft.data.near import own_texts
from tui_ft.data.rows import DatasetReport
from tui_ft.data.stream import judge, open_inputs
from tui_ft.models.smollm2 import ready
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data
from tui_ft.settings import home

SEED = 7
ASKED_WORDS, ANSWER_WORDS = 35, 75
OPENINGS = ("Please explain", "I need help with", "Can you tell me about", "Summarise this:", "What about")
SYSTEM = "You are a support agent. Answer politely and to the point."


def rows(number: int) -> Iterator[dict[str, object]]:
    """Chat rows of about 1 KB: 1 % copies, 1 % near copies, 1 % in other case, 1 % with an e-mail address."""
    chance = random.Random(SEED)
    vocabulary = words(chance, 60_000)
    # Zipf's law, as Mandelbrot put it for English.
    weights = [(rank + 2.7) ** -1.1 for rank in range(len(vocabulary))]
    total, cumulative = 0.0, []
    for weight in weights:
        total += weight
        cumulative.append(total)
    earlier: list[dict[str, object]] = []
    for i in range(number):
        kind = i % 100
        if earlier and kind in (97, 98, 99):
            yield {97: same, 98: nearly, 99: shouted}[kind](chance.choice(earlier), chance)
            continue
        drawn = chance.choices(vocabulary, cum_weights=cumulative, k=ASKED_WORDS + ANSWER_WORDS)
        asked = f"{chance.choice(OPENINGS)} {sentences(drawn[:ASKED_WORDS], chance)}"
        if kind == 50:
            asked += f" Write to {drawn[0]}.{drawn[1]}@{drawn[2]}.com."
        row = chat(asked, sentences(drawn[ASKED_WORDS:], chance))
        if i % 50 == 0 and len(earlier) < 5_000:
            earlier.append(row)
        yield row


def words(chance: random.Random, number: int) -> list[str]:
    """That many different words of two to four syllables."""
    onsets = "bcdfghjklmnprstvw"
    ends = ("", "n", "r", "s", "t", "l", "st", "nd")
    found: dict[str, None] = {}
    while len(found) < number:
        syllables = chance.randint(1, 3)
        found[
            "".join(
                chance.choice(onsets) + chance.choice("aeiou") + chance.choice(ends) for _ in range(syllables)
            )
        ] = None
    return list(found)


def sentences(drawn: list[str], chance: random.Random) -> str:
    """The words as sentences and paragraphs."""
    done: list[str] = []
    while drawn:
        size = chance.randint(7, 16)
        text = " ".join(drawn[:size])
        done.append(
            text[0].upper()
            + text[1:]
            + chance.choice(".....?!:")
            + ("\n\n" if chance.random() < 0.1 else " ")
        )
        drawn = drawn[size:]
    return "".join(done).strip()


def chat(asked: str, answer: str) -> dict[str, object]:
    """A row of messages."""
    turns = (("system", SYSTEM), ("user", asked), ("assistant", answer))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def same(row: dict[str, object], chance: random.Random) -> dict[str, object]:
    """The row again."""
    return row


def nearly(row: dict[str, object], chance: random.Random) -> dict[str, object]:
    """The row with one word of the answer changed."""
    _, asked, answer = texts(row)
    told = answer.split(" ")
    told[chance.randrange(len(told))] = "otherwise"
    return chat(f"{asked} Thanks.", " ".join(told))


def shouted(row: dict[str, object], chance: random.Random) -> dict[str, object]:
    """The row in capitals."""
    _, asked, answer = texts(row)
    return chat(asked.upper(), answer)


def texts(row: dict[str, object]) -> list[str]:
    """What is said in a row."""
    messages = row["messages"]
    assert isinstance(messages, list)
    return [turn["content"] for turn in messages]


def write(path: Path, number: int) -> None:
    """A file of rows."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows(number):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


class Memory(threading.Thread):
    """The most memory this process and its children take together, pages they share counted once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Look twice a second."""
        while not self._over.wait(0.5):
            self.peak_bytes = max(self.peak_bytes, sum(map(proportional_bytes, family())))

    def stop(self) -> None:
        """Look no longer."""
        self._over.set()
        self.join()


def family() -> list[int]:
    """This process and its children."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    children = " ".join((task / "children").read_text() for task in tasks.iterdir())
    return [os.getpid(), *map(int, children.split())]


def proportional_bytes(pid: int) -> int:
    """A process's proportional set size."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def processor_s() -> float:
    """Processor time of this process and the children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def reading_s(path: Path) -> float:
    """Time of a loop of json.loads and nothing else."""
    begun = time.perf_counter()
    with path.open(encoding="utf-8") as file:
        for line in file:
            json.loads(line)
    return time.perf_counter() - begun


def all_pairs_s(path: Path, number: int) -> float:
    """Time of comparing each of the first rows with each other by their sets of three words in a row."""
    given = open_inputs(Data(path=path.name), path.parent)
    sets: list[frozenset[tuple[bytes, ...]]] = []
    for judged in judge(given, Data(path=path.name)):
        if judged.row is not None and len(sets) < number:
            told = b" ".join(own_texts(judged.row)).split()
            sets.append(frozenset(zip(told, told[1:], told[2:], strict=False)))
        if len(sets) == number:
            break
    begun = time.perf_counter()
    sum(len(a & b) >= 0.8 * len(a | b) for i, a in enumerate(sets) for b in sets[:i])
    return time.perf_counter() - begun


def measure(path: Path, tokenizer: ChatTokenizer | None) -> tuple[DatasetReport, float, float, int]:
    """The report, seconds, processor seconds and bytes of memory of a full check."""
    memory = Memory()
    memory.start()
    begun, used = time.perf_counter(), processor_s()
    report = check(Data(path=path.name), base=path.parent, tokenizer=tokenizer, seq_len=2048)
    took, worked = time.perf_counter() - begun, processor_s() - used
    memory.stop()
    return report, took, worked, memory.peak_bytes


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--keep", type=Path, help="folder the files are written to and kept in")
    asked = parser.parse_args()
    folder = asked.model or ready(home())
    tokenizer = ChatTokenizer.load(folder) if folder else None
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as scratch:
        for number in asked.rows:
            path = (asked.keep or Path(scratch)) / f"chat-{number}.jsonl"
            if not path.exists():
                write(path, number)
            report, took, worked, peak = measure(path, tokenizer)
            read = reading_s(path)
            print(
                f"{number:>9,} rows  {path.stat().st_size / 1e6:6.0f} MB  check {took:6.1f} s"
                f"  {number / took:7,.0f} rows/s  processor {worked:6.1f} s  memory {peak / 1e6:5.0f} MB"
                f"  json.loads alone {read:5.1f} s  {number / read:8,.0f} rows/s"
            )
            print("          ", {finding.id: finding.count for finding in report.findings})
        for number in (500, 1_000, 2_000):
            print(f"{number:>9,} rows  each with each {all_pairs_s(path, number):6.1f} s")


if __name__ == "__main__":
    main()
