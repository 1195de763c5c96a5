"""The cheapest steps that make a plan fit, each tried out before it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tui_ft.planning.anatomy import typical
from tui_ft.planning.choose import LENGTH_STEP, Job, share_whole
from tui_ft.planning.search import Option, Subject, Wish, best
from tui_ft.text import gib, percent

_SIZES = (0.14e9, 0.36e9, 0.6e9, 1e9, 1.5e9, 3e9, 4e9, 7e9, 8e9, 13e9, 14e9, 24e9, 32e9, 70e9)


def ways_out(wish: Wish, option: Option, job: Job) -> list[str]:
    """What would make this plan safe, cheapest first; each with what it costs. Empty when nothing would."""
    return [
        *_open_pins(wish, option),
        *_shorter(wish, option, job),
        *_quantised(wish, option),
        *_smaller(wish, option),
    ]


def longest_that_fits(wish: Wish, option: Option, limit: int) -> Option | None:
    """The longest sequence up to `limit` that is safe with this method; None when not even 64 tokens are."""
    low, high, found = 1, max(1, limit // LENGTH_STEP), None
    while low <= high:
        middle = (low + high) // 2
        tried = best(wish, option.method.name, middle * LENGTH_STEP)
        if tried.fits == "safe":
            low, found = middle + 1, tried
        else:
            high = middle - 1
    return found


def _open_pins(wish: Wish, option: Option) -> Iterator[str]:
    """Leaving settings of the user's to the plan: one that is enough, else all of them."""
    freed = {
        "train.micro_batch": replace(wish, micro_batch=None),
        "train.gradient_checkpointing": replace(wish, gradient_checkpointing=None),
        "train.optimizer": replace(wish, optimizer=None),
    }
    pinned = [key for key, freer in freed.items() if freer != wish]
    for key in pinned:
        tried = best(freed[key], option.method.name, option.train.seq_len)
        if tried.fits == "safe":
            yield f"Leave out {key}: needs {gib(tried.memory.peak_bytes)}."
            return
    if len(pinned) > 1:
        freest = replace(wish, micro_batch=None, gradient_checkpointing=None, optimizer=None)
        tried = best(freest, option.method.name, option.train.seq_len)
        if tried.fits == "safe":
            yield f"Leave out {' and '.join(pinned)}: needs {gib(tried.memory.peak_bytes)}."


def _shorter(wish: Wish, option: Option, job: Job) -> Iterator[str]:
    tried = longest_that_fits(wish, option, option.train.seq_len - LENGTH_STEP)
    if tried is None:
        return
    length = tried.train.seq_len
    cut = 1 - share_whole(job.lengths, length) if job.lengths else None
    price = f", cuts {percent(cut, digits=1)} of the rows" if cut else ""
    saved = gib(option.memory.peak_bytes - tried.memory.peak_bytes)
    yield f"Set train.seq_len = {length}: saves {saved}{price}."


def _quantised(wish: Wish, option: Option) -> Iterator[str]:
    if option.method.name == "qlora":
        return
    for name in ("lora", "qlora") if option.method.name == "full" else ("qlora",):
        method = wish.method if wish.method.rank else replace(wish.method, rank=16, alpha=32)
        tried = best(
            replace(wish, method=method), "qlora" if name == "qlora" else "lora", option.train.seq_len
        )
        if tried.fits == "safe":
            yield f'Set method.name = "{name}": needs {gib(tried.memory.peak_bytes)}.'
            return


def _smaller(wish: Wish, option: Option) -> Iterator[str]:
    for size in sorted(_SIZES, reverse=True):
        if size >= 0.9 * wish.subject.size:
            continue
        subject = Subject(typical(int(size)), int(size), "llama", guessed_dims=True)
        tried = best(replace(wish, subject=subject), option.method.name, option.train.seq_len)
        if tried.fits == "safe":
            yield f"Choose a smaller model: {size / 1e9:g}B parameters fit with these settings."
            return
