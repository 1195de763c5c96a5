"""Everything a report says about a dataset, gathered row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui_ft.data.checks import special_tokens
from tui_ft.data.encodings import UTF8, conversion
from tui_ft.data.masks import Encoded, LossOn, prove
from tui_ft.data.observers import Leakage, LengthLimit, Repeats
from tui_ft.data.panel import Panel
from tui_ft.data.rows import DatasetReport, Row, SplitSizes, Unreadable
from tui_ft.data.sides import Ledger, traits_of_judged
from tui_ft.data.sources import Source
from tui_ft.data.split import Split
from tui_ft.data.stream import Input, Judged
from tui_ft.data.tally import Tally
from tui_ft.recipe import Data
from tui_ft.text import count, excerpt, percent

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

# Below the first nothing is learned, below the second overfitting is likely, above the third more rows
# bring an adapter little.
TOO_FEW, FEW, MANY = 50, 200, 10_000
_MIX_LEAST, _MIX_USUAL, _MIX_MOST = 0.05, 0.2, 0.5
_PROVEN = 200


class Survey:
    """Takes in every row once and becomes a report."""

    def __init__(
        self,
        data: Data,
        inputs: Sequence[Input],
        tokenizer: ChatTokenizer | None,
        seq_len: int | None,
        *,
        loss_on: LossOn = "answers",
    ) -> None:
        self.rows = 0
        self._data = data
        self._inputs = inputs
        self._tokenizer = tokenizer
        self._tally = Tally()
        self._repeats = Repeats()
        self._leakage = Leakage()
        self._panel = Panel()
        self._limit = LengthLimit(seq_len)
        self._ledger = Ledger(data)
        self._control = _control_tokens(tokenizer)
        # With loss on all tokens there is no mask to prove.
        self._proofs_left = _PROVEN if loss_on == "answers" else 0

    def see(self, judged: Judged) -> bool:
        """Take in one place of a file. False when the row is left out of training."""
        self.rows += 1
        fault, row, tally = judged.fault, judged.row, self._tally
        if fault is not None:
            finding = "unparseable" if isinstance(fault, Unreadable) else fault.id
            words = f"{fault.what}: {fault.excerpt}" if fault.excerpt else fault.what
            tally.add(finding, fault.file, fault.line, words, field=getattr(fault, "field", ""))
            for mark, seen in judged.marks if row is None else ():
                tally.add(mark, fault.file, fault.line, seen)
            if row is not None:
                self._ledger.add(judged.part, traits_of_judged(judged, row), usable=False)
            return False
        if row is None:
            return False
        if judged.part in ("validation", "test"):
            self._leakage.hold_out(row)
        else:
            self._leakage.see(row, tally)
        if judged.part == "main":
            self._repeats.see(row, tally)
            self._panel.see(row)
        self._check_row(judged, row)
        return self._see_tokens(judged, row)

    def _check_row(self, judged: Judged, row: Row) -> None:
        tally = self._tally
        for finding, mark in judged.marks:
            tally.add(finding, row.file, row.line, mark)
        if self._control and (seen := special_tokens(row, self._control)) is not None:
            tally.add("special-tokens", row.file, row.line, seen)
        if judged.as_json is not None:
            tally.add("written-as-json", row.file, row.line, judged.as_json)
        if row.chosen is not None:
            tally.add("pairs", row.file, row.line)

    def _see_tokens(self, judged: Judged, row: Row) -> bool:
        encoded, traits = judged.encoded, traits_of_judged(judged, row)
        if encoded is None or self._tokenizer is None:
            self._ledger.add(judged.part, traits)
            return True
        for concern in encoded.concerns:
            self._tally.add(concern, row.file, row.line, encoded.note)
        if self._proofs_left and (self.rows <= _PROVEN // 2 or self.rows % 97 == 0):
            self._proofs_left -= 1
            self._prove(encoded, row, self._tokenizer)
        usable = self._limit.see(row, encoded, self._tally)
        self._ledger.add(judged.part, traits, len(encoded.ids), encoded.learned, usable=usable)
        return usable

    def _prove(self, encoded: Encoded, row: Row, tokenizer: ChatTokenizer) -> None:
        wrong = prove(encoded, row, tokenizer)
        if wrong and "prompt-differs" not in encoded.concerns:
            self._tally.add("mask-unproven", row.file, row.line, wrong[0])

    def split(self) -> Split:
        """Which rows of the main files are held out. It does not depend on the model."""
        return self._ledger.split()

    def report(self) -> DatasetReport:
        """The report, after the last row."""
        tally, main = self._tally, next(given for given in self._inputs if given.part == "main")
        split = self.split()
        sizes, lengths = self._ledger.summary(split)
        self._panel.state(tally)
        self._limit.state(tally)
        for given in self._inputs:
            _state_input(given, tally)
        _state_sizes(self._ledger, self._ledger.mixed(split), sizes, tally)
        return DatasetReport(
            paths=tuple(source.name for source in main.sources),
            rows=self.rows,
            usable_rows=sizes.train + sizes.validation + sizes.test,
            mapping=main.mapping,
            findings=tally.findings(self._data.ignore),
            sizes=sizes,
            lengths=lengths if self._tokenizer else None,
            answers_look_like=self._panel.answers.look,
            median_answer_characters=self._panel.answers.median_characters,
            columns=main.columns,
            labels=self._ledger.labels(split),
        )


def _control_tokens(tokenizer: ChatTokenizer | None) -> tuple[str, ...]:
    """Texts that would end or begin a turn in the middle of a row."""
    if tokenizer is None:
        return ()
    return tuple(
        dict.fromkeys([*tokenizer.special_tokens.values(), *map(tokenizer.token, tokenizer.stop_ids)])
    )


def _state_input(given: Input, tally: Tally) -> None:
    """What is notable about the files of one part and the way their columns are read."""
    mapping = given.mapping
    of_part = "" if given.part == "main" else f"In {given.sources[0].name}: "
    for source in given.sources:
        if source.note:
            tally.add("other-kind", source.name, 1, source.note)
        if source.mixed_ends:
            tally.add("mixed-line-ends", source.name, 1)
        if source.encoding.name != UTF8:
            _state_encoding(source, tally)
    if mapping.shape == "unknown" and given.columns:
        seen = _listed(given.columns)
        what = f"No column is known to be a prompt, an answer or a text. The columns are: {seen}."
        tally.state("unknown-columns", tally["unknown-columns"], what=of_part + what)
    elif mapping.shape != "unknown" and not mapping.confident:
        roles = ", ".join(f"{excerpt(column, 30)} as {part}" for part, column in mapping.columns.items())
        what = f"The columns are taken by their names: {roles}. This is a guess."
        tally.state("guessed-columns", tally["guessed-columns"] + len(mapping.columns), what=of_part + what)
    if given.unused:
        what = f"{count(len(given.unused), 'column')} not used: {_listed(given.unused)}."
        tally.state("unused-columns", tally["unused-columns"] + len(given.unused), what=of_part + what)


def _state_encoding(source: Source, tally: Tally) -> None:
    """Where a text is not UTF-8, and the exact command that converts it; with several files, the first's."""
    encoding = source.encoding
    finding = "other-encoding" if encoding.certain else "guessed-encoding"
    tally.add(finding, source.name, encoding.line, encoding.seen, offset=encoding.offset)
    if tally[finding] == 1:
        read = "read as it is" if encoding.certain else "a guess"
        what = f"{source.name} is in {encoding.name}, not UTF-8 ({read})."
        tally.state(finding, 1, what=what, fix=f"Convert it:  {conversion(source.path, encoding.name)}")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(excerpt(column, 30) for column in columns[:12])


def _state_sizes(ledger: Ledger, mixed: int, sizes: SplitSizes, tally: Tally) -> None:
    """Whether there is enough to learn from and to measure on."""
    own = ledger.rows("main")
    if own < TOO_FEW:
        tally.state("too-few-rows", own)
    elif own < FEW:
        tally.state("few-rows", own)
    elif own > MANY:
        tally.state("many-rows", own)
    if own and not sizes.validation and not sizes.test:
        tally.state("nothing-held-out", sizes.train)
    share = mixed / max(1, sizes.train)
    # A share of a few rows cannot hit the band to the row.
    if mixed and not _MIX_LEAST - 0.005 <= share <= _MIX_USUAL + 0.005:
        what = f"{count(mixed, 'row')} of general data are mixed in, {percent(share)} of what is trained on."
        tally.state("mix-share", mixed, what=what, severity="error" if share > _MIX_MOST else "warning")
