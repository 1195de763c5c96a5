"""A box that costs money and does nothing: a GPU without work, a run that ended long ago. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tui_ft.runs.readings import Alert
from tui_ft.runs.signs import Sign
from tui_ft.runs.status import State
from tui_ft.text import duration, percent

_LEAST = 0.05  # share of its time a GPU works at least
_IDLE_S = 300.0
_BILLING_S = 600.0

ENDED: dict[State, str] = {
    "finished": "training is done",
    "stopped": "training was stopped",
    "paused": "training is paused",
    "failed": "training failed",
    "lost": "the run is lost",
}


class IdleGpu:
    """Sees the GPUs of a training from heartbeat to heartbeat; tells once in a spell when none works."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False

    def see(
        self, now: float, utilisations: Sequence[float | None], *, training: bool, step: int
    ) -> Sign | None:
        """`utilisations` are shares of 1; one that is unknown (a MIG slice) says nothing."""
        known = [share for share in utilisations if share is not None]
        if not training or not known or max(known) >= _LEAST:
            self._since, self._told = None, False
            return None
        if self._since is None:
            self._since = now
        if self._told or now - self._since < _IDLE_S:
            return None
        self._told = True
        return Sign(
            "idle-gpu",
            "warning",
            f"The GPU works less than {percent(_LEAST)} of the time since {duration(now - self._since)}, "
            "in the middle of training.",
            "Look at worker.log and at the processor: something holds the training up.",
            step,
        )


def still_billing(state: State, ended: float, now: float, price_per_hour: float) -> Alert | None:
    """The alert that a box without work still costs money; times in seconds since 1970, price in dollars."""
    words = ENDED.get(state)
    idle_s = now - ended
    if words is None or not price_per_hour or idle_s < _BILLING_S:
        return None
    wasted = idle_s / 3600 * price_per_hour
    return Alert(
        id="box-idle",
        severity="warning",
        what=f"{words[:1].upper()}{words[1:]} since {duration(idle_s)}; the box still costs "
        f"${price_per_hour:g} an hour, ${wasted:.2f} since then.",
        action="Copy what you need, then end the box with its provider; a box that is only stopped may cost "
        "money too.",
        step=None,
        time=ended + _BILLING_S,
    )
