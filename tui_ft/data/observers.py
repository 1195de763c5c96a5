"""What shows only over many rows: how answers look, and what the length limit cuts.

Each observer is fed the rows one by one, keeps little, and states its findings at the end.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Literal

from tui_ft.data.checks import is_json, says_nothing
from tui_ft.data.masks import Encoded
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import count, percent

AnswerLook = Literal["json", "label", "short", "long", "none"]

# Beyond this share of rows a cut answer is no exception any more and training waits for a decision.
CUT_TOLERATED = 0.005
_MOST_LABELS = 200


@dataclass(frozen=True, slots=True)
class Measure:
    """The length of a row in tokens, and what of it is learned.

    `needed`: up to and with the last one that is learned; `prompt`: before the first; `kept`: learned ones
    within the length limit.
    """

    tokens: int
    learned: int
    needed: int
    prompt: int
    kept: int
    concerns: tuple[str, ...] = ()
    note: str = ""


def measured(encoded: Encoded, limit: int | None) -> Measure:
    """The measure of an encoded row; of a pair, what the longer and the more badly cut answer make of it."""
    learned, needed = encoded.learned, encoded.needed
    kept = learned if limit is None or needed <= limit else sum(encoded.trained[:limit])
    one = Measure(
        len(encoded.ids), learned, needed, encoded.prompt_length, kept, encoded.concerns, encoded.note
    )
    if encoded.rejected is None:
        return one
    other = measured(encoded.rejected, limit)
    return Measure(
        tokens=max(one.tokens, other.tokens),
        learned=max(one.learned, other.learned),
        needed=max(one.needed, other.needed),
        prompt=max(one.prompt, other.prompt),
        kept=min(one.kept, other.kept),
        concerns=tuple(dict.fromkeys((*one.concerns, *other.concerns))),
        note=one.note or other.note,
    )


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
        self.limit = limit
        self._needed = array("I")

    def see(self, row: Row, measure: Measure, tally: Tally) -> bool:
        """Note the length of a row. False when the limit leaves nothing of its answer."""
        self._needed.append(measure.needed)
        if self.limit is None or measure.needed <= self.limit:
            return True
        if row.text is not None:
            # A text that goes on past the limit is learned in pieces.
            tally.add("windowed", row.file, row.line, count(measure.tokens, "token"))
            return True
        if not measure.kept:
            tally.add("prompt-too-long", row.file, row.line, count(measure.prompt, "token"))
            return False
        words = f"{measure.kept:,} of {count(measure.learned, 'token')} kept"
        tally.add("answer-cut", row.file, row.line, words)
        return True

    def merge(self, other: LengthLimit) -> None:
        """Add what another saw in the rows after those seen here."""
        self._needed += other._needed

    def state(self, tally: Tally) -> None:
        """The findings with their shares and what longer limits would keep."""
        rows = len(self._needed)
        part, whole = tally["answer-cut"], tally["prompt-too-long"]
        if self.limit is None or not rows:
            return
        for finding, number, loss in (
            ("answer-cut", part, "part of the answer is cut off"),
            ("prompt-too-long", whole, "nothing of the answer is left, so they are left out"),
        ):
            if number:
                tally.state(
                    finding,
                    number,
                    what=f"{count(number, 'row')} ({percent(number / rows, digits=1)}): {loss} "
                    f"at {self.limit:,} tokens. {self._longer()}",
                    severity="error" if number > CUT_TOLERATED * rows else "warning",
                )

    def _longer(self) -> str:
        """What the next limits would keep, e.g. "2,048 keeps 99.6 %; 4,096 keeps all."."""
        limit, longest = self.limit or 1, max(self._needed)
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
