"""The limits of a run against the clock, in the worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tui_ft.recipe import Recipe
from tui_ft.runs import limits
from tui_ft.runs.history import History
from tui_ft.runs.limits import Limit, Reached


class Budget:
    """Hours, money and deadline of one attempt, counted on from the attempts before it."""

    def __init__(
        self, recipe: Recipe, history: History, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds that no change of the time of day can touch.

        Raises InputError for a budget without a price and a deadline that is no time.
        """
        self._recipe = recipe
        self._clock = clock
        self._began = history.began or time.time()
        self._worked_before = history.worked_s
        # The time of day is read once: a clock that is set while the run works moves no limit.
        self._before = time.time() - self._began
        self._attempt = clock()
        self._told: set[tuple[str, float]] = set()
        self._bounds: tuple[Limit, ...] = limits.limits(recipe.limits, began=self._began)

    def change(self, values: Mapping[str, Any]) -> None:
        """Take over limits that were changed, by recipe key. Raises InputError as on construction."""
        new = {key: value for key, value in values.items() if key.startswith("limits.")}
        if new:
            self._bounds = limits.limits(self._recipe.with_values(new).limits, began=self._began)

    def over(self) -> Reached | None:
        """The limit that is reached, once."""
        return self._once(limits.reached, "over")

    def near(self) -> Reached | None:
        """The limit of which nine tenths are gone, once."""
        return self._once(limits.near, "near")

    def _once(self, look: Callable[..., Reached | None], what: str) -> Reached | None:
        if not self._bounds:
            return None
        gone = self._clock() - self._attempt
        found = look(self._bounds, worked_s=self._worked_before + gone, since_began_s=self._before + gone)
        if found is None or (what, found.limit.seconds) in self._told:
            return None
        self._told.add((what, found.limit.seconds))
        return found
