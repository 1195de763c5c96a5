"""Every row's part, key and length, and from them the side of each row. The same for checks and runs."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping

from tui_ft.data.rows import Lengths, Row, SplitSizes
from tui_ft.data.split import SIDES, Side, Split, Traits, plan_split, with_mix
from tui_ft.data.stream import Judged, Part
from tui_ft.recipe import Data

_PARTS: tuple[Part, ...] = ("main", "mix", "validation", "test")


class Ledger:
    """Parts, keys and token counts of all rows, 18 bytes each, 12 more where labels or times decide."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._parts = bytearray()
        self._usable = bytearray()
        self._keys = array("Q")
        self._tokens = array("I")
        self._learned = array("I")
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._strata = array("I")
        self._times = array("d")
        self._sided: tuple[Split, list[Side | None]] | None = None

    def __len__(self) -> int:
        return len(self._parts)

    def merge(self, other: Ledger) -> None:
        """Add the rows of another ledger after those of this one."""
        self._parts += other._parts
        self._usable += other._usable
        self._keys += other._keys
        self._tokens += other._tokens
        self._learned += other._learned
        renamed = [self._number(name) for name in other._names]
        self._strata.extend(renamed[number] for number in other._strata)
        self._times += other._times

    def add(
        self, part: Part, traits: Traits, tokens: int = 0, learned: int = 0, *, usable: bool = True
    ) -> None:
        """Write down one row; `usable` is False when nothing of it can be learned."""
        self._parts.append(_PARTS.index(part))
        self._usable.append(usable)
        self._keys.append(int(traits.key, 16))
        self._tokens.append(tokens)
        self._learned.append(learned)
        if self._data.stratify:
            self._strata.append(self._number(traits.stratum))
        if self._data.split_by_time:
            self._times.append(float("nan") if traits.time is None else traits.time)

    def rows(self, part: Part) -> int:
        """Usable rows of one part."""
        code = _PARTS.index(part)
        return sum(u and p == code for u, p in zip(self._usable, self._parts, strict=True))

    def split(self, together: Mapping[str, str] | None = None) -> Split:
        """Which rows of the main files are held out, and which general rows are mixed in.

        Files of the user's own take the place of a share. `together` names for a key the key it stays with.
        """
        data, main = self._data, [i for i, part in enumerate(self._parts) if part == 0]
        split = plan_split(
            (self.key(i) for i in main),
            validation=0 if data.validation_path else data.validation,
            test=0 if data.test_path else data.test,
            seed=data.seed,
            max_rows=data.max_rows,
            cap=data.max_held_out,
            strata=[self._stratum(i) for i in main] if data.stratify else None,
            times=[self._time(i) for i in main] if data.split_by_time else None,
            together=together,
        )
        mixed = [self.key(i) for i, part in enumerate(self._parts) if part == 1]
        if not mixed or not data.mix_share:
            return split
        trained = sum(self._side(i, split) == "train" for i in main)
        return with_mix(split, mixed, round(trained * data.mix_share / (1 - data.mix_share)))

    def summary(self, split: Split) -> tuple[SplitSizes, Lengths]:
        """Sizes and lengths of what is left after the split, the length limit and max_rows."""
        sizes = dict.fromkeys(SIDES, 0)
        lengths: list[int] = []
        learned = 0
        for i, side in self._left(split):
            sizes[side] += 1
            lengths.append(self._tokens[i])
            learned += self._learned[i]
        return SplitSizes(**sizes), Lengths(tuple(lengths), learned, sum(lengths))

    def labels(self, split: Split) -> dict[str, dict[str, int]]:
        """Rows of the main files by label and side; empty unless the split is stratified."""
        if not self._data.stratify:
            return {}
        found: Counter[tuple[str, Side]] = Counter(
            (self._stratum(i), side) for i, side in self._left(split) if self._parts[i] == 0
        )
        return {name: {side: found[name, side] for side in SIDES} for name in self._names}

    def mixed(self, split: Split) -> int:
        """Usable rows of general data that are trained on."""
        mix = _PARTS.index("mix")
        return sum(self._parts[i] == mix for i, _ in self._left(split)) if mix in self._parts else 0

    def sides(self, split: Split) -> list[Side | None]:
        """The side of every row by its number; None for rows that max_rows or mix_share leaves out."""
        if self._sided is None or self._sided[0] is not split:
            self._sided = (split, self._all_sides(split))
        return self._sided[1]

    def key(self, i: int) -> str:
        """The key of a row by its number."""
        return f"{self._keys[i]:016x}"

    def _left(self, split: Split) -> Iterator[tuple[int, Side]]:
        for i, (usable, side) in enumerate(zip(self._usable, self.sides(split), strict=True)):
            if usable and side is not None:
                yield i, side

    def _number(self, stratum: str) -> int:
        number = self._numbers.setdefault(stratum, len(self._names))
        if number == len(self._names):
            self._names.append(stratum)
        return number

    def _stratum(self, i: int) -> str:
        return self._names[self._strata[i]] if self._data.stratify else ""

    def _time(self, i: int) -> float | None:
        if not self._data.split_by_time or math.isnan(self._times[i]):
            return None
        return self._times[i]

    def _all_sides(self, split: Split) -> list[Side | None]:
        if self._data.stratify or self._data.split_by_time:
            return [self._side(i, split) for i in range(len(self))]
        # Of a million rows it is felt what is made for each.
        return [
            split.side(f"{key:016x}") if part == 0 else self._side(i, split)
            for i, (part, key) in enumerate(zip(self._parts, self._keys, strict=True))
        ]

    def _side(self, i: int, split: Split) -> Side | None:
        traits = Traits(self.key(i), self._stratum(i), self._time(i))
        return side_of(_PARTS[self._parts[i]], traits, split)


def side_of(part: Part, traits: Traits, split: Split) -> Side | None:
    """Where a row goes: files of one's own as they are named, mixed-in rows to training, others by the split.

    None for rows that max_rows or mix_share leaves out.
    """
    if part == "main":
        return split.side(traits.key, traits.stratum, traits.time)
    if part == "mix":
        return "train" if split.mixes(traits.key) else None
    return part


def traits_of_judged(judged: Judged, row: Row) -> Traits:
    """What decides the side of a row that was read."""
    return judged.traits or Traits(row.id)
