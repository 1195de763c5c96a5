"""What shows only over many rows: duplicates, leakage, how answers look, what the length limit cuts.

Each observer is fed the rows one by one, keeps little, and states its findings at the end.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from functools import cached_property
from statistics import median
from typing import Literal

from tui_ft.data.checks import is_json, normalised, says_nothing
from tui_ft.data.masks import Encoded
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import count, percent

AnswerLook = Literal["json", "label", "short", "long", "none"]
Place = tuple[str, int]

# Beyond this share of rows a cut answer is no exception any more and training waits for a decision.
CUT_TOLERATED = 0.005
_MOST_LABELS = 200


class Repeats:
    """Rows that come again, and questions that come again with another answer."""

    def __init__(self) -> None:
        self._first: dict[int, Place] = {}
        self._answers: dict[int, tuple[int, Place]] = {}

    def see(self, row: Row, tally: Tally) -> None:
        """Count the row as a copy, or as a contradiction, of an earlier one."""
        place = (row.file, row.line)
        row_key = int(row.id, 16)
        if (first := self._first.setdefault(row_key, place)) is not place:
            tally.add("duplicates", *place, f"as {first[0]}:{first[1]}")
            return
        # Two preferences for one question, and two documents that begin alike, contradict nothing.
        if row.text is not None or row.chosen is not None or row.label is not None:
            return
        answer = _key(row.messages[-1])
        known, where = self._answers.setdefault(_key([row.messages[:-1], row.tools]), (answer, place))
        if known != answer:
            tally.add("conflicting-answers", *place, f"{row.answer[:60]} … see {where[0]}:{where[1]}")


class Leakage:
    """Rows to train on that are held out as well, word for word or but for case and punctuation."""

    def __init__(self) -> None:
        self._held_out: dict[int, Place] = {}

    def hold_out(self, row: Row) -> None:
        """Remember a row of the validation or test file."""
        place = (row.file, row.line)
        for key in _leak_keys(row):
            self._held_out.setdefault(key, place)

    def see(self, row: Row, tally: Tally) -> None:
        """Compare a training row with what is held out."""
        if not self._held_out:
            return
        where = next((self._held_out[key] for key in _leak_keys(row) if key in self._held_out), None)
        if where:
            tally.add("leakage", row.file, row.line, f"as {where[0]}:{where[1]}")


class Answers:
    """How the answers look: JSON, labels, short or long; and the ones that look otherwise."""

    def __init__(self) -> None:
        self._characters = array("I")
        self._words = array("I")
        self._json = 0
        self._distinct: Counter[str] = Counter()
        self._not_json = Tally()
        self._empty_words = Tally()
        self._shortest = Tally()

    def see(self, row: Row) -> None:
        """Look at the answer of a row."""
        answer = row.answer
        if row.text is not None or not answer:
            return
        words = len(answer.split()) if len(answer) < 4000 else 1000
        self._characters.append(len(answer))
        self._words.append(words)
        if len(self._distinct) <= _MOST_LABELS:
            self._distinct[answer.strip()[:100]] += 1
        if is_json(answer):
            self._json += 1
        else:
            self._not_json.add("broken-json", row.file, row.line, answer)
        if words <= 4:
            self._shortest.add("short-answers", row.file, row.line, answer)
            if says_nothing(answer):
                self._empty_words.add("short-answers", row.file, row.line, answer)

    def merge(self, other: Answers) -> None:
        """Add what another saw in the rows after those seen here."""
        self._characters += other._characters
        self._words += other._words
        self._json += other._json
        self._distinct.update(other._distinct)
        for mine, theirs in (
            (self._not_json, other._not_json),
            (self._empty_words, other._empty_words),
            (self._shortest, other._shortest),
        ):
            mine.merge(theirs)

    @cached_property
    def median_characters(self) -> int:
        """Half of the answers are longer. To be asked for after the last row."""
        return round(median(self._characters)) if self._characters else 0

    @cached_property
    def look(self) -> AnswerLook:
        """What kind of answers these mostly are, after the last row; "none" for plain text."""
        rows = len(self._characters)
        if not rows:
            return "none"
        if self._json >= 0.8 * rows:
            return "json"
        few = len(self._distinct) <= min(_MOST_LABELS, max(2, rows // 5))
        if few and self.median_characters <= 40:
            return "label"
        return "short" if self.median_characters < 80 else "long"

    def state(self, tally: Tally) -> None:
        """Findings that need to know what is usual."""
        rows = len(self._characters)
        if self.look == "json" and self._json < rows:
            tally.take("broken-json", self._not_json)
        if not rows or self.look in ("json", "label"):
            return
        usual = median(self._words)
        rare = self._shortest["short-answers"] <= 0.005 * rows
        if usual >= 50 and rare and self._shortest["short-answers"]:
            tally.take("short-answers", self._shortest)
        elif usual >= 20 and self._empty_words["short-answers"]:
            tally.take("short-answers", self._empty_words)


class LengthLimit:
    """Token lengths, and what a limit on them takes from the answers."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._needed = array("I")
        self._noun = "answer"

    def see(self, row: Row, encoded: Encoded, tally: Tally) -> bool:
        """Note the length of a row. False when the limit leaves nothing of its answer."""
        needed = encoded.needed
        self._needed.append(needed)
        if row.text is not None:
            self._noun = "text"
        if self._limit is None or needed <= self._limit:
            return True
        kept = sum(encoded.trained[: self._limit])
        if not kept:
            tally.add("prompt-too-long", row.file, row.line, count(encoded.prompt_length, "token"))
            return False
        tally.add("answer-cut", row.file, row.line, f"{kept:,} of {count(encoded.learned, 'token')} kept")
        return True

    def state(self, tally: Tally) -> None:
        """The findings with their shares and what longer limits would keep."""
        rows = len(self._needed)
        part, whole = tally["answer-cut"], tally["prompt-too-long"]
        if self._limit is None or not rows:
            return
        for finding, number, loss in (
            ("answer-cut", part, f"part of the {self._noun} is cut off"),
            ("prompt-too-long", whole, f"nothing of the {self._noun} is left, so they are left out"),
        ):
            if number:
                tally.state(
                    finding,
                    number,
                    what=f"{count(number, 'row')} ({percent(number / rows, digits=1)}): {loss} "
                    f"at {self._limit:,} tokens. {self._longer()}",
                    severity="error" if number > CUT_TOLERATED * rows else "warning",
                )

    def _longer(self) -> str:
        """What the next limits would keep, e.g. "2,048 keeps 99.6 %; 4,096 keeps all."."""
        limit, longest = self._limit or 1, max(self._needed)
        kept = sum(needed <= limit for needed in self._needed)
        said: list[str] = []
        while limit < longest and len(said) < 3:
            limit = 1 << limit.bit_length()
            more = sum(needed <= limit for needed in self._needed)
            if more > kept:
                all_of_it = more == len(self._needed)
                share = "all" if all_of_it else percent(more / len(self._needed), digits=1)
                said.append(f"{limit:,} keeps {share}")
                kept = more
        return f"{'; '.join(said)}."


def _leak_keys(row: Row) -> tuple[int, int]:
    asked = row.text if row.text is not None else " ".join(turn["content"] for turn in row.dialogue[:-1])
    return int(row.id, 16), _key(normalised(asked) or asked)


def _key(value: object) -> int:
    """64 bits of a hash of the content."""
    content = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest())
