"""What is kept of the rows of a dataset, or of a portion of it: counts, places, lengths and fingerprints.

Portions are gathered apart, some in other processes, and merged in the order of their rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_ft.data.checks import special_tokens
from tui_ft.data.convert import to_row
from tui_ft.data.masks import Encoded, LossOn, prove
from tui_ft.data.near import common_shingles
from tui_ft.data.observers import LengthLimit, Measure, measured
from tui_ft.data.panel import Panel
from tui_ft.data.prints import Prints
from tui_ft.data.rows import Row, Unreadable
from tui_ft.data.sides import Ledger, traits_of_judged
from tui_ft.data.stream import Input, Judged
from tui_ft.data.tally import Tally
from tui_ft.recipe import Data

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer
    from tui_ft.stretches import Hashes

# What is learned is proven for the first rows, and for the first row of each so many or of each portion.
PROVEN_FIRST, PROVEN_EVERY = 200, 512


@dataclass(frozen=True, slots=True)
class Scope:
    """What rows are looked at for: the same for all portions of a dataset."""

    data: Data
    seq_len: int | None
    loss_on: LossOn
    common: Hashes  # shingles that are the form of these rows
    tokenizer: ChatTokenizer | None

    @property
    def control(self) -> tuple[str, ...]:
        """Texts that would end or begin a turn in the middle of a row."""
        tokenizer = self.tokenizer
        if tokenizer is None:
            return ()
        stops = map(tokenizer.token, tokenizer.stop_ids)
        return tuple(dict.fromkeys([*tokenizer.special_tokens.values(), *stops]))


def common_of(data: Data, inputs: Sequence[Input]) -> Hashes:
    """Shingles that are common among the main rows that were looked at first."""
    main = next(given for given in inputs if given.part == "main")
    rows = (to_row(raw, main.mapping, data.system) for raw in main.looked_at)
    return common_shingles(row for row in rows if isinstance(row, Row))


def is_proven(number: int) -> bool:
    """Whether what is learned of this row, counted from 0, is checked the long way round."""
    return number < PROVEN_FIRST or number % PROVEN_EVERY == 0


class Gathered:
    """Takes in rows one by one. Can be sent to another process and merged with others of its kind."""

    def __init__(self, scope: Scope) -> None:
        self.rows = 0
        self.doubtful = False  # some row is not as long as it was measured
        self.tally = Tally()
        self.panel = Panel()
        self.prints = Prints(scope.common)
        self.limit = LengthLimit(scope.seq_len)
        self.ledger = Ledger(scope.data)
        self.verdicts: Counter[bool] = Counter()  # answers marked as good (True) and as bad

    def see(self, judged: Judged, scope: Scope, control: Sequence[str] = (), *, proven: bool = False) -> bool:
        """Take in one place of a file. False when the row is left out of training.

        `proven`: what is learned of it is checked the long way round.
        """
        self.rows += 1
        row = judged.row
        if judged.fault is not None:
            self._see_fault(judged)
            return False
        if row is None:
            return False
        self.prints.see(row, judged.part, len(self.ledger))
        # How bad answers look is nothing to go by.
        if judged.part == "main" and row.label is not False:
            self.panel.see(row)
        if row.label is not None:
            self.verdicts[row.label] += 1
        self._see_marks(judged, row, tuple(control))
        if row.chosen is not None and scope.loss_on != "pairs":
            self.tally.add("pairs", row.file, row.line)
        if proven and judged.encoded is not None and scope.tokenizer is not None:
            self._prove(judged.encoded, row, scope.tokenizer)
        return self._see_tokens(judged, row)

    def merge(self, other: Gathered) -> None:
        """Add what was gathered of the rows that came next."""
        self.rows += other.rows
        self.doubtful |= other.doubtful
        self.tally.merge(other.tally)
        self.panel.merge(other.panel)
        self.prints.merge(other.prints, len(self.ledger))
        self.limit.merge(other.limit)
        self.ledger.merge(other.ledger)
        self.verdicts.update(other.verdicts)

    def _see_fault(self, judged: Judged) -> None:
        fault, row, tally = judged.fault, judged.row, self.tally
        assert fault is not None
        finding = "unparseable" if isinstance(fault, Unreadable) else fault.id
        words = f"{fault.what}: {fault.excerpt}" if fault.excerpt else fault.what
        tally.add(finding, fault.file, fault.line, words, field=getattr(fault, "field", ""))
        for mark, seen in judged.marks if row is None else ():
            tally.add(mark, fault.file, fault.line, seen)
        if row is not None:
            self.prints.see(row, judged.part, len(self.ledger))
            self.ledger.add(judged.part, traits_of_judged(judged, row), usable=False)

    def _see_marks(self, judged: Judged, row: Row, control: tuple[str, ...]) -> None:
        tally = self.tally
        for finding, mark in judged.marks:
            tally.add(finding, row.file, row.line, mark)
        if control and (seen := special_tokens(row, control)) is not None:
            tally.add("special-tokens", row.file, row.line, seen)
        if judged.as_json is not None:
            tally.add("written-as-json", row.file, row.line, judged.as_json)

    def _see_tokens(self, judged: Judged, row: Row) -> bool:
        traits = traits_of_judged(judged, row)
        measure: Measure | None = judged.measure
        if measure is None and judged.encoded is not None:
            measure = measured(judged.encoded, self.limit.limit)
        if measure is None:
            self.ledger.add(judged.part, traits)
            return True
        for concern in measure.concerns:
            self.tally.add(concern, row.file, row.line, measure.note)
        usable = self.limit.see(row, measure, self.tally)
        self.ledger.add(judged.part, traits, measure.tokens, measure.learned, usable=usable)
        return usable

    def _prove(self, encoded: Encoded, row: Row, tokenizer: ChatTokenizer) -> None:
        wrong = prove(encoded, row, tokenizer)
        if encoded.rejected is not None:
            wrong += prove(encoded.rejected, row, tokenizer)
        if wrong and "prompt-differs" not in encoded.concerns:
            self.tally.add("mask-unproven", row.file, row.line, wrong[0])
