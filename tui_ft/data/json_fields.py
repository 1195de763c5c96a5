"""The fields of many JSON objects: how often each comes, its types and values. Becomes a JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tui_ft.data.places import Places

_DEEPEST = 4
_MOST_FIELDS = 200
_MOST_VALUES = 40
_LONGEST_VALUE = 60
# A field with few values that come again and again is a choice among them.
_CHOICES = 20
_PER_CHOICE = 5
_USUAL = 0.95
_TYPES: Final = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class Field:
    """One place in the objects, such as `customer.name` or `items[]`."""

    def __init__(self) -> None:
        self.rows = 0
        self.types: dict[str, Places] = {}
        self.values: dict[str, Places] = {}
        self.many_values = False

    def add(self, value: Any, file: str, line: int) -> None:
        """One more value."""
        self.rows += 1
        kind = _TYPES.get(type(value), "null")
        self._places(self.types, kind).add(file, line)
        if kind == "string" and not self.many_values:
            if len(value) > _LONGEST_VALUE or (value not in self.values and len(self.values) >= _MOST_VALUES):
                self.many_values = True
                self.values.clear()
            else:
                self._places(self.values, value).add(file, line)

    def merge(self, other: Field) -> None:
        """Add what came after."""
        self.rows += other.rows
        for kind, places in other.types.items():
            self._places(self.types, kind).merge(places)
        for value, places in other.values.items():
            self._places(self.values, value).merge(places)
        if other.many_values or self.many_values or len(self.values) > _MOST_VALUES:
            self.many_values = True
            self.values.clear()

    @property
    def usual_type(self) -> str | None:
        """The type that nearly all values have that are not null."""
        known = {kind: places.count for kind, places in self.types.items() if kind != "null"}
        kind = max(known, key=lambda name: known[name], default=None)
        return kind if kind and known[kind] >= _USUAL * sum(known.values()) else None

    @property
    def choices(self) -> Mapping[str, int]:
        """The values a text is chosen from, each with its rows; empty when texts are free."""
        strings = self.types["string"].count if "string" in self.types else 0
        often = {value: places.count for value, places in self.values.items() if places.count > 1}
        few = 0 < len(often) <= _CHOICES and strings >= _PER_CHOICE * len(self.values)
        return often if few and sum(often.values()) >= _USUAL * strings else {}

    @staticmethod
    def _places(known: dict[str, Places], key: str) -> Places:
        return known.get(key) or known.setdefault(key, Places())


class Fields:
    """All fields of many objects, and which objects lack which."""

    def __init__(self) -> None:
        self.rows = 0
        self.fields: dict[str, Field] = {}
        self.shapes: dict[frozenset[str], Places] = {}
        self.too_many = False

    def add(self, value: Mapping[str, Any], file: str, line: int) -> None:
        """Take in one object."""
        self.rows += 1
        if self.too_many:
            return
        paths = set()
        for path, inner in _walk(value, ""):
            paths.add(path)
            field = self.fields.get(path)
            if field is None:
                field = self.fields[path] = Field()
            field.add(inner, file, line)
        shape = frozenset(paths)
        places = self.shapes.get(shape)
        if places is None:
            places = self.shapes[shape] = Places()
        places.add(file, line)
        self.too_many = len(self.fields) > _MOST_FIELDS or len(self.shapes) > _MOST_FIELDS

    def merge(self, other: Fields) -> None:
        """Add what came after."""
        self.rows += other.rows
        for path, field in other.fields.items():
            self.fields.setdefault(path, Field()).merge(field)
        for shape, places in other.shapes.items():
            self.shapes.setdefault(shape, Places()).merge(places)
        self.too_many |= other.too_many or len(self.fields) > _MOST_FIELDS or len(self.shapes) > _MOST_FIELDS

    def possible(self, path: str) -> int:
        """How many objects could have this field: those that have what it stands in."""
        return sum(places.count for shape, places in self.shapes.items() if self.fits(path, shape))

    def required(self) -> list[str]:
        """The fields nearly all objects have, in the order they first came."""
        return [
            path
            for path, field in self.fields.items()
            if not path.endswith(("[]", ".")) and field.rows >= max(2, _USUAL * self.possible(path))
        ]

    @staticmethod
    def fits(path: str, shape: frozenset[str]) -> bool:
        """Whether an object with these fields has what the field stands in."""
        parent = path.rpartition(".")[0]
        # A null where an object could be has no fields to lack.
        return not parent or f"{parent}." in shape


def json_schema(fields: Fields) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) that nearly all of the objects satisfy."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_object(fields, "", set(fields.required())),
    }


def _object(fields: Fields, parent: str, required: set[str]) -> dict[str, Any]:
    inner = {
        path[len(parent) :]: path
        for path in fields.fields
        if path.startswith(parent)
        and path != parent
        and "." not in path[len(parent) :]
        and "[]" not in path[len(parent) :]
    }
    return {
        "type": "object",
        "properties": {name: _value(fields, path, required) for name, path in inner.items()},
        "required": [name for name, path in inner.items() if path in required],
    }


def _value(fields: Fields, path: str, required: set[str]) -> dict[str, Any]:
    field = fields.fields[path]
    nullable = "null" in field.types
    if field.usual_type is None:
        return {}
    if field.usual_type == "object":
        schema = _object(fields, f"{path}.", required)
    elif field.usual_type == "array":
        item = f"{path}[]"
        schema = {"type": "array"} | (
            {"items": _value(fields, item, required)} if item in fields.fields else {}
        )
    elif field.choices:
        return {"enum": [*field.choices, *([None] if nullable else [])]}
    else:
        schema = {"type": field.usual_type}
    return schema | ({"type": [schema["type"], "null"]} if nullable else {})


def _walk(value: Mapping[str, Any], parent: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every field with its path. An object's own path ends in a dot once more, as the root of its fields."""
    for name, inner in value.items():
        path = parent + name
        yield path, inner
        if depth >= _DEEPEST:
            continue
        if isinstance(inner, Mapping):
            yield from _inside(inner, path, depth)
        elif isinstance(inner, list) and inner:
            item = f"{path}[]"
            yield item, inner[0]
            objects = [one for one in inner if isinstance(one, Mapping)]
            if objects and len(objects) == len(inner):
                common = set.intersection(*(set(one) for one in objects))
                merged = {key: objects[0][key] for key in objects[0] if key in common}
                yield from _inside(merged, item, depth)


def _inside(value: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    yield f"{path}.", value
    yield from _walk(value, f"{path}.", depth + 1)
