"""Texts that go round in circles, as a model that lost its way writes them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from tui_ft.data.look import Look
from tui_ft.text import excerpt

# A loop is one when it comes this often and fills this many characters.
_TIMES: Final = 8
_CHARACTERS: Final = 90
_PROBE = 10
_LONGEST = 300
_SHORTEST_TEXT = 100
_WANTED = re.compile(r"\b(?:repeat\w*|times|chorus|lyrics|song|poem|pattern|chant\w*|rows?|lines)\b", re.I)


def repeated_text(seen: Look) -> str | None:
    """One line or phrase over and over, where nothing asked for it."""
    for text in seen.learned:
        if len(text) < _SHORTEST_TEXT:
            continue
        loop = _loop(text, len(text)) or _loop(text, len(text) // 2) or _line(text)
        if loop and not _WANTED.search(seen.asked):
            return f"{text.count(loop):,} times: {excerpt(loop, 60)}"
    return None


def _loop(text: str, end: int) -> str | None:
    """What the text repeats right before `end`, over and over."""
    probe, begin = text[end - _PROBE : end], max(0, end - _LONGEST - _PROBE)
    # Looking forwards is quicker, and mostly there is nothing to be found.
    if text.find(probe, begin, end - 1) < 0:
        return None
    before = text.rfind(probe, begin, end - 1)
    period = end - _PROBE - before
    unit = text[end - period : end]
    times = max(_TIMES, -(-_CHARACTERS // period))
    looped = text.endswith(unit * times, 0, end)
    return unit if looped and any(char.isalpha() for char in unit) else None


def _line(text: str) -> str | None:
    """The line that makes up most of the text and comes often, if there is one."""
    if text.count("\n") < _TIMES:
        return None
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    if len(set(lines)) > 0.6 * len(lines):
        return None
    line, times = Counter(lines).most_common(1)[0]
    words = sum(char.isalpha() for char in line) >= 8
    return line if words and times >= _TIMES and times > 0.4 * len(lines) else None
