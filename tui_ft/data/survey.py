"""Everything a report says about a dataset, gathered row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui_ft.data.encodings import UTF8, conversion
from tui_ft.data.gather import Gathered, Scope, common_of, is_proven
from tui_ft.data.groups import NEAR
from tui_ft.data.masks import LossOn
from tui_ft.data.prints import state as state_likeness
from tui_ft.data.rows import DatasetReport, SplitSizes
from tui_ft.data.sides import Ledger
from tui_ft.data.sources import Source
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
        self._data = data
        self._inputs = inputs
        self._tokenizer = tokenizer
        self.scope = Scope(data, seq_len, loss_on, common_of(data, inputs), tokenizer)
        self._control = self.scope.control
        self._all = Gathered(self.scope)

    @property
    def rows(self) -> int:
        """Places of files seen so far."""
        return self._all.rows

    @property
    def doubtful(self) -> bool:
        """Whether some row is not as long as it was measured, so that all have to be encoded."""
        return self._all.doubtful

    def see(self, judged: Judged) -> bool:
        """Take in one place of a file. False when the row is left out of training."""
        # With loss on all tokens there is no mask to prove.
        proven = self.scope.loss_on != "all" and is_proven(self.rows)
        return self._all.see(judged, self.scope, self._control, proven=proven)

    def take(self, portion: Gathered) -> None:
        """Take in what was gathered of the places that come next."""
        self._all.merge(portion)

    def report(self) -> DatasetReport:
        """The report, after the last row."""
        seen, main = self._all, next(given for given in self._inputs if given.part == "main")
        tally, ledger = seen.tally, seen.ledger
        alike = seen.prints.compare()
        split = ledger.split(alike.together(ledger.key) if self._data.group_by == NEAR else None)
        sizes, lengths = ledger.summary(split)
        state_likeness(seen.prints, alike, ledger.sides(split), tally)
        seen.panel.state(tally)
        seen.limit.state(tally)
        for given in self._inputs:
            _state_input(given, tally)
        _state_sizes(ledger, ledger.mixed(split), sizes, tally)
        if self.scope.loss_on == "verdicts" and len(seen.verdicts) == 1:
            (good,) = seen.verdicts
            what = f"All answers are marked as {'good' if good else 'bad'}."
            tally.state("one-verdict", seen.verdicts[good], what=what)
        return DatasetReport(
            paths=tuple(source.name for source in main.sources),
            rows=self.rows,
            usable_rows=sizes.train + sizes.validation + sizes.test,
            mapping=main.mapping,
            findings=tally.findings(self._data.ignore),
            sizes=sizes,
            lengths=lengths if self._tokenizer else None,
            answers_look_like=seen.panel.answers.look,
            median_answer_characters=seen.panel.answers.median_characters,
            columns=main.columns,
            labels=ledger.labels(split),
            answer_labels=seen.panel.labels.counts,
            schema=seen.panel.json.schema,
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
