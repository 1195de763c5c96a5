"""The dry run of a training, as its `dry_run` event tells it: predicted beside measured, or a way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tui_ft.planning.ladder import command
from tui_ft.planning.plan import Range
from tui_ft.runs.events import Event
from tui_ft.runs.readings import number, whole
from tui_ft.text import duration, excerpt, gib, sanitize

PARTS = ("forward", "backward", "optimizer", "evaluation", "save")


@dataclass(frozen=True, slots=True)
class Offer:
    """Recipe changes that make a run smaller: dotted key → value, None un-pins. Offered, never imposed."""

    changes: dict[str, Any]
    words: str
    needs_bytes: int | None
    fits: bool  # by the estimate, corrected by what was just seen

    def command(self, recipe: str) -> str:
        """The command that starts the run anew with these changes."""
        return sanitize(command(recipe, self.changes))


@dataclass(frozen=True, slots=True)
class Trial:
    """What trying the longest real batch showed. Bytes and seconds; None was not measured.

    On a GPU bytes are what torch allocates, without the driver's context; on the CPU the resident memory
    of the process. `predicted_bytes` is the formula for exactly this batch, `planned_bytes` the plan's.
    """

    rows: int
    tokens: int | None  # of the batch, padding included
    predicted_bytes: int | None
    planned_bytes: int | None
    measured_bytes: int | None
    reserved_bytes: int | None
    free_bytes: int | None
    ratio: float | None  # measured over predicted
    seconds: dict[str, float]  # by part, see PARTS
    tokens_per_s: float | None
    time_s: Range | None  # of the whole run
    failed: str  # the part that ran out of memory; "" when all went well
    needed_bytes: int | None  # when it failed: at least this much
    offer: Offer | None

    def document(self, recipe: str) -> dict[str, Any]:
        """As in `show --json`, with the command that takes the offer."""
        values = asdict(self)
        values["time_s"] = None if self.time_s is None else {"low": self.time_s.low, "high": self.time_s.high}
        if self.offer is not None:
            values["offer"]["command"] = self.offer.command(recipe)
        return values

    def lines(self, recipe: str) -> Iterator[str]:
        """For people: one line, or two with an offer."""
        yield self.words()
        if self.offer is not None:
            fits = f"needs about {gib(self.offer.needs_bytes)}" + (
                "" if self.offer.fits else ", still too much"
            )
            yield f"next step down, {fits}: {self.offer.words}"
            yield self.offer.command(recipe)

    def words(self) -> str:
        """What it showed, in one sentence."""
        if self.failed:
            return (
                f"out of memory in the dry run ({self.failed}): "
                f"needed at least {gib(self.needed_bytes)}, free {gib(self.free_bytes)}"
            )
        if self.measured_bytes is None:
            memory = "memory not measured"
        else:
            memory = f"{gib(self.measured_bytes, digits=2)} measured"
        if self.predicted_bytes is not None:
            memory += f", {gib(self.predicted_bytes, digits=2)} predicted"
            if self.ratio is not None:
                memory += f" ({100 * (self.ratio - 1):+.0f} %)"
        speed = f"; {self.tokens_per_s:,.0f} tokens/s" if self.tokens_per_s else ""
        span = self.time_s
        takes = f"; the run takes {duration(span.low)} to {duration(span.high)}" if span else ""
        return f"dry run: {memory}{speed}{takes}"


def trial(event: Event) -> Trial:
    """The dry run of a `dry_run` event, whatever stands in it."""
    seconds = event.get("seconds")
    times = seconds if isinstance(seconds, dict) else {}
    return Trial(
        rows=whole(event.get("rows")) or 0,
        tokens=whole(event.get("tokens")),
        predicted_bytes=whole(event.get("predicted_bytes")),
        planned_bytes=whole(event.get("planned_bytes")),
        measured_bytes=whole(event.get("measured_bytes")),
        reserved_bytes=whole(event.get("reserved_bytes")),
        free_bytes=whole(event.get("free_bytes")),
        ratio=number(event.get("ratio")),
        seconds={name: found for name in PARTS if (found := number(times.get(name))) is not None},
        tokens_per_s=number(event.get("tokens_per_s")),
        time_s=_span(event.get("time")),
        failed=excerpt(str(event.get("failed") or ""), 40),
        needed_bytes=whole(event.get("needed_bytes")),
        offer=_offer(event.get("offer")),
    )


def _span(found: object) -> Range | None:
    if not isinstance(found, dict):
        return None
    low, high = number(found.get("low_s")), number(found.get("high_s"))
    return None if low is None or high is None else Range(low, high)


def _offer(found: object) -> Offer | None:
    if not isinstance(found, dict) or not isinstance(found.get("changes"), dict):
        return None
    return Offer(
        changes=found["changes"],
        words=excerpt(str(found.get("words", "")), 200),
        needs_bytes=whole(found.get("needs_bytes")),
        fits=found.get("fits") is True,
    )
