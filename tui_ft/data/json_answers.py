"""Answers that are JSON: fences around them, the schema they share, and the ones that do not fit it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tui_ft.data.json_fields import Field, Fields, json_schema
from tui_ft.data.likeness import misspelt
from tui_ft.data.places import Places
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import count, excerpt

_FENCE = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_NOTHING: Final = object()
# So many of the answers are JSON when JSON is the task.
_TASK = 0.8
# So many objects have to share a field before there is a schema to speak of.
_FEWEST = 20
# A value that came once is odd when the others came often.
_OFTEN = 10
_ODD_VALUES = 2


class JsonAnswers:
    """Takes in the fields of JSON answers."""

    def __init__(self) -> None:
        self._rows = 0
        self._bare = Places()
        self._fenced = Places()
        self._broken = Tally()
        self._fields = Fields()

    def see(self, row: Row) -> None:
        """Look at the answer of a row."""
        answer = row.answer
        if row.text is not None or not answer:
            return
        self._rows += 1
        bare = answer.strip()
        fence = _FENCE.fullmatch(bare) if bare.startswith("```") else None
        value = _parsed(fence[1].strip() if fence else bare)
        if value is _NOTHING:
            self._broken.add("broken-json", row.file, row.line, answer[:200])
            return
        (self._fenced if fence else self._bare).add(row.file, row.line)
        if isinstance(value, Mapping):
            self._fields.add(value, row.file, row.line)

    def merge(self, other: JsonAnswers) -> None:
        """Add what another saw in the rows after those seen here."""
        self._rows += other._rows
        self._bare.merge(other._bare)
        self._fenced.merge(other._fenced)
        self._broken.merge(other._broken)
        self._fields.merge(other._fields)

    @property
    def _valid(self) -> int:
        return self._bare.count + self._fenced.count

    @property
    def _have_schema(self) -> bool:
        fields, task = self._fields, self._valid >= _TASK * self._rows
        return (
            task
            and fields.rows >= max(_FEWEST, _TASK * self._valid)
            and not fields.too_many
            and bool(fields.required())
        )

    @property
    def schema(self) -> dict[str, Any] | None:
        """The schema that nearly all answers fit, and the rows of each field; None when JSON is not the task.

        `rows`: answers that are an object. `fields`: for each its `rows`, `of` how many that could have it,
        and rows by `types` and, where a text is chosen from a few, by `values`. `json_schema`: the same as a
        JSON Schema.
        """
        if not self._have_schema:
            return None
        fields = self._fields
        return {
            "rows": fields.rows,
            "fields": {
                path: {
                    "rows": field.rows,
                    "of": fields.possible(path),
                    "types": {kind: places.count for kind, places in field.types.items()},
                    "values": dict(sorted(field.choices.items(), key=lambda item: -item[1])),
                }
                for path, field in fields.fields.items()
                if not path.endswith(("[]", "."))
            },
            "json_schema": json_schema(fields),
        }

    def state(self, tally: Tally) -> None:
        """Answers that are JSON otherwise than the rest."""
        if not self._valid or self._valid < _TASK * self._rows:
            return
        if self._bare.count < _TASK * self._rows and self._broken["broken-json"]:
            # Most answers have a fence, so whoever looks for bare JSON does not call the task JSON.
            tally.take("broken-json", self._broken)
        self._state_fences(tally)
        if self._have_schema:
            required = self._fields.required()
            for shape, places in self._fields.shapes.items():
                if words := self._faults(shape, required):
                    places.tell(tally, "json-schema", words)
            for path in required:
                self._state_field(path, self._fields.fields[path], tally)

    def _state_fences(self, tally: Tally) -> None:
        if not self._fenced.count:
            return
        mixed = bool(self._bare.count)
        rarer = self._fenced if self._fenced.count <= self._bare.count or not mixed else self._bare
        rarer.tell(tally, "fenced-json", "```json …```" if rarer is self._fenced else "without a fence")
        if mixed:
            what = f"{count(self._fenced.count, 'answer')} stand in a ``` fence, {self._bare.count:,} do not."
            tally.state("fenced-json", rarer.count, what=what, severity="warning")

    def _faults(self, shape: frozenset[str], required: Sequence[str]) -> str:
        """What objects with these fields lack, in words; "" when they are complete."""
        lacking = [path for path in required if path not in shape and self._fields.fits(path, shape)]
        others = [path for path in shape if path not in required]
        said: list[str] = []
        for path in lacking:
            misnamed = next((other for other in others if _misnamed(other, path)), None)
            name = excerpt(path, 40)
            if misnamed is not None:
                said.append(f"{excerpt(misnamed, 40)}, elsewhere {name}")
            else:
                have, rows = self._fields.fields[path].rows, self._fields.possible(path)
                said.append(f"{name} is missing; {have:,} of {count(rows, 'row')} have it")
        return "; ".join(said)

    def _state_field(self, path: str, field: Field, tally: Tally) -> None:
        name = excerpt(path, 40)
        for kind, places in field.types.items():
            if field.usual_type and kind not in (field.usual_type, "null"):
                places.tell(tally, "json-schema", f"{name} is {_a(kind)}, usually {_a(field.usual_type)}")
        choices = field.choices
        odd = (
            {value: places for value, places in field.values.items() if places.count == 1} if choices else {}
        )
        for value in [*choices, *odd]:
            meant = next(
                (c for c, n in choices.items() if n > 20 * field.values[value].count and misspelt(value, c)),
                None,
            )
            words = f"{name} is {excerpt(value, 30)!r}"
            if meant is not None:
                field.values[value].tell(tally, "json-schema", f"{words}, elsewhere {excerpt(meant, 30)!r}")
            elif value in odd and len(odd) <= _ODD_VALUES and min(choices.values()) >= _OFTEN:
                odd[value].tell(tally, "odd-values", f"{words}, which no other row has")


def _misnamed(path: str, usual: str) -> bool:
    """Whether a field stands where the usual one does and has nearly its name."""
    parent, _, name = path.rpartition(".")
    usual_parent, _, usual_name = usual.rpartition(".")
    return parent == usual_parent and misspelt(name, usual_name)


def _parsed(text: str) -> Any:
    """The object or list a text holds, or `_NOTHING`."""
    if not text.startswith(("{", "[")):
        return _NOTHING
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _a(kind: str) -> str:
    return {"array": "a list", "object": "an object", "string": "text", "boolean": "true or false"}.get(
        kind, f"a {kind}"
    )
