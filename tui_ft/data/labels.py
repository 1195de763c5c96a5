"""Answers that are labels: how often each comes, which are rare, which are misspelt."""

from __future__ import annotations

from collections.abc import Mapping

from tui_ft.data.likeness import misspelt, same_but_for_form
from tui_ft.data.observers import Answers
from tui_ft.data.places import Places
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import count, excerpt, percent

_MOST_LABELS = 200
_LONGEST = 60
# Fewer rows than this show a label too seldom to learn it, and one that fills this share drowns the rest.
_FEW_ROWS = 5
_DROWNS = 0.9
# A slip of the finger is rare next to the label it was meant to be.
_SLIP = 0.03


class Labels:
    """Counts labels as long as the answers could be some."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._places: dict[str, Places] = {}
        self._too_many = False

    def see(self, row: Row) -> None:
        """Count the answer of a row."""
        if self._too_many or row.text is not None:
            return
        label = row.answer.strip()
        if len(label) > _LONGEST:
            return
        places = self._places.get(label)
        if places is None:
            self._too_many = len(self._places) >= _MOST_LABELS
            places = self._places[label] = Places()
        places.add(row.file, row.line)

    def merge(self, other: Labels) -> None:
        """Add what another saw in the rows after those seen here."""
        for label, places in other._places.items():
            self._places.setdefault(label, Places()).merge(places)
        self._too_many |= other._too_many or len(self._places) > _MOST_LABELS

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows of each label, the most frequent first; empty when the answers are no labels."""
        if self._too_many or self._answers.look != "label":
            return {}
        return {
            label: places.count
            for label, places in sorted(self._places.items(), key=lambda item: (-item[1].count, item[0]))
        }

    def state(self, tally: Tally) -> None:
        """What is wrong with the labels."""
        counts = self.counts
        slips = {label: meant for label in counts if (meant := _meant(label, counts))}
        for label, meant in sorted(slips.items(), key=lambda slip: counts[slip[0]]):
            words = f"{excerpt(label, 40)}, elsewhere {excerpt(meant, 40)}"
            self._places[label].tell(tally, "misspelt-labels", words)
        sound = {label: number for label, number in counts.items() if label not in slips}
        for label, number in sound.items():
            if number < _FEW_ROWS and len(sound) > 1:
                self._places[label].tell(
                    tally, "rare-labels", f"{excerpt(label, 40)}: {count(number, 'row')}"
                )
        _state_balance(sound, tally)


def _meant(label: str, counts: Mapping[str, int]) -> str | None:
    """The more frequent label that this one is a slip of."""
    for other, number in counts.items():
        if number < counts[label] or (number == counts[label] and other >= label):
            continue
        if same_but_for_form(label, other) or (
            counts[label] <= max(1, _SLIP * number) and misspelt(label, other)
        ):
            return other
    return None


def _state_balance(counts: Mapping[str, int], tally: Tally) -> None:
    rows = sum(counts.values())
    if len(counts) < 2 or not rows:
        return
    label, most = next(iter(counts.items()))
    if most > _DROWNS * rows:
        what = f"{percent(most / rows, digits=1)} of the answers are {excerpt(label, 40)!r}."
        tally.state("label-imbalance", most, what=what)
