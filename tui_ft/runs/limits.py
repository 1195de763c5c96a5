"""What a run may take: hours, money, a time of day. Pure: settings and a clock in, verdicts out.

Hours and money count the time in which a process worked on the training, over all its attempts: what
lies between a stop and a resume is not counted. A deadline is a moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

from tui_ft.errors import InputError, Problem
from tui_ft.recipe import Limits as Settings
from tui_ft.text import duration

_NEAR = 0.9
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([mhd])")


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound, as seconds from the first start of work. `what` names it for people."""

    key: Literal["limits.max_hours", "limits.max_cost", "limits.deadline"]
    what: str  # "the budget of $5"
    seconds: float  # worked seconds it allows; for a deadline, seconds after `began`
    worked: bool  # counted in worked seconds; else by the clock


@dataclass(frozen=True, slots=True)
class Reached:
    """A bound that is reached, or near. `left_s` is 0 when it is reached."""

    limit: Limit
    left_s: float


def limits(settings: Settings, *, began: float) -> tuple[Limit, ...]:
    """The bounds of a run that was first started at `began` (seconds since 1970).

    Raises InputError for a budget without a price and a deadline that is no time.
    """
    found: list[Limit] = []
    problems: list[Problem] = []
    if settings.max_hours:
        found.append(
            Limit(
                "limits.max_hours", f"the limit of {settings.max_hours:g} h", settings.max_hours * 3600, True
            )
        )
    if settings.max_cost and settings.price_per_hour:
        seconds = settings.max_cost / settings.price_per_hour * 3600
        found.append(Limit("limits.max_cost", f"the budget of ${settings.max_cost:g}", seconds, True))
    elif settings.max_cost:
        problems.append(
            Problem(
                "a budget needs a price, which is not known for this box",
                "limits.max_cost",
                "Give --price USD once, or limits.price_per_hour.",
            )
        )
    if settings.deadline:
        try:
            moment = deadline(settings.deadline, began=began)
        except ValueError:
            problems.append(
                Problem(
                    f"'{settings.deadline}' is no time",
                    "limits.deadline",
                    'Write it as "2026-12-24 18:00", "07:30" or "6h".',
                )
            )
        else:
            shown = datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
            found.append(Limit("limits.deadline", f"the deadline, {shown},", moment - began, False))
    if problems:
        raise InputError(problems)
    return tuple(found)


def deadline(text: str, *, began: float) -> float:
    """The moment a deadline names, in seconds since 1970: local time, or so long after `began`.

    A time of day is the first one after `began`. Raises ValueError when it is no time.
    """
    text = text.strip()
    if match := _DURATION.fullmatch(text):
        return began + float(match[1]) * _UNITS[match[2]]
    if len(text) == 5:
        start = datetime.fromtimestamp(began)
        moment = datetime.combine(start.date(), time.fromisoformat(text))
        return (moment if moment > start else moment + timedelta(days=1)).timestamp()
    return datetime.fromisoformat(text).timestamp()


def reached(bounds: tuple[Limit, ...], *, worked_s: float, since_began_s: float) -> Reached | None:
    """The first bound that is reached; None while there is time."""
    return _first(bounds, worked_s, since_began_s, 1.0)


def near(bounds: tuple[Limit, ...], *, worked_s: float, since_began_s: float) -> Reached | None:
    """The bound of which nine tenths are gone and that comes first; None while there is time."""
    return _first(bounds, worked_s, since_began_s, _NEAR)


def cost(price_per_hour: float, worked_s: float) -> float:
    """Dollars for so many seconds of the box."""
    return price_per_hour * worked_s / 3600


def near_words(found: Reached) -> str:
    """A sentence on a bound that is near."""
    return (
        f"Nine tenths of {found.limit.what.rstrip(',')} are gone; the run stops in {duration(found.left_s)}."
    )


def _first(bounds: tuple[Limit, ...], worked_s: float, since_began_s: float, share: float) -> Reached | None:
    over: list[Reached] = []
    for limit in bounds:
        gone = worked_s if limit.worked else since_began_s
        if gone >= share * limit.seconds:
            over.append(Reached(limit, max(0.0, limit.seconds - gone)))
    return min(over, key=lambda found: found.left_s, default=None)
