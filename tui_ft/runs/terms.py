"""What a run began with, held against what its folder says now.

A resume that quietly trained something else than the run began with would be worse than none. lock.toml
keeps the terms of the start; whoever edits recipe.toml or plan.json afterwards is told what differs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tui_ft.errors import InputError, Problem
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import RunFolder
from tui_ft.text import excerpt

Terms = Mapping[str, Mapping[str, Any]]
"""Values by dotted key, once as in the recipe and once as in the plan."""

_SECTIONS = ("model", "data", "method", "train")
# They decide when something is looked at or kept, not what is learned.
_FREE = frozenset(
    (
        "data.ignore",
        "train.save_every_minutes",
        "train.keep_checkpoints",
        "train.eval_every",
        "train.dry_run",
        "train.smoke_test",
        "train.on_nan",
        "train.on_oom",
    )
)
_WIDTH = 34


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was. `then` and `now` are written out; "" is none."""

    key: str
    then: str
    now: str


class Differs(InputError):
    """The run would go on with something else than it began with. `differences` says what."""

    def __init__(self, differences: Sequence[Difference], folder: RunFolder) -> None:
        self.differences = tuple(differences)
        number = len(self.differences)
        head = "1 thing is" if number == 1 else f"{number} things are"
        shown = "\n".join(table(self.differences))
        super().__init__(
            [
                Problem(
                    f"{head} not what this run began with\n{shown}",
                    folder.id,
                    "Put it back, or start a new run that goes on from these weights with "
                    f'method.continue_from = "{folder.id}".' + _longer(self.differences, folder),
                )
            ]
        )

    @property
    def what(self) -> str:
        """All differences in one line."""
        return "not what this run began with: " + "; ".join(
            f"{found.key} was {found.then or 'not set'} and is {found.now or 'gone'} now"
            for found in self.differences
        )


def terms(recipe: Recipe, plan: Plan) -> dict[str, dict[str, Any]]:
    """What decides what a run learns. Values that TOML can hold."""
    written = recipe.document()
    in_recipe = {
        f"{section}.{key}": value
        for section in _SECTIONS
        if isinstance(written.get(section), dict)
        for key, value in written[section].items()
    }
    in_plan = {
        f"{section}.{key}": value
        for section, part in (("method", plan.method), ("train", plan.train))
        for key, value in asdict(part).items()
    }
    in_plan["model.id"] = plan.model_id
    return {"recipe": _told(in_recipe), "plan": _told(in_plan)}


def differences(then: Terms, now: Terms) -> tuple[Difference, ...]:
    """What is not as it was, by key; what the recipe says goes before what the plan says."""
    found: dict[str, Difference] = {}
    for source in ("recipe", "plan"):
        before, after = then.get(source, {}), now.get(source, {})
        keys = [*before, *after] if source == "recipe" else before
        for key in keys:
            if key not in _FREE and before.get(key) != after.get(key):
                found.setdefault(key, Difference(key, _shown(before.get(key)), _shown(after.get(key))))
    return tuple(found[key] for key in sorted(found))


def check(folder: RunFolder) -> None:
    """Raises Differs when recipe.toml or plan.json are not those the run began with. Quick.

    A run that has not got as far as writing lock.toml began with nothing yet.
    """
    try:
        locked = tomllib.loads(folder.lock.read_text(encoding="utf-8")).get("terms")
    except (OSError, ValueError):
        return
    if not isinstance(locked, dict):
        return
    found = differences(locked, terms(folder.read_recipe(), folder.read_plan()))
    if found:
        raise Differs(found, folder)


def table(found: Iterable[Difference]) -> list[str]:
    """Lines with key, then and now under one another."""
    rows = [("key", "then", "now")]
    rows += [(one.key, one.then or "not set", one.now or "gone") for one in found]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"  {key:{first}}  {then:{second}}  {now}" for key, then, now in rows]


def _longer(found: Sequence[Difference], folder: RunFolder) -> str:
    """How to make a run longer, for people who wrote it into the recipe."""
    lengths = [one for one in found if one.key in ("train.epochs", "train.max_steps")]
    if not lengths:
        return ""
    return f" To make it longer: tui-ft resume {folder.id} --set {lengths[0].key}={lengths[0].now or '…'}"


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return {key: value for key, value in told.items() if value is not None}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | dict):
        value = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return excerpt(str(value), _WIDTH) or '""'
