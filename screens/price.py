"""What an hour of this machine costs: asked once, kept for the next time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_ft.hardware.facts import Hardware

    from .shell import TuiFt


def ask(shell: TuiFt, then: Callable[[], None] = lambda: None) -> None:
    """Ask for the price, keep it for this machine, and put it into the recipe in the making."""
    from .dialogs import Ask

    def take(answer: str | None) -> None:
        if answer is None:
            return
        dollars = _price(answer)
        if shell.draft.hardware is not None:
            from tui_ft.planning import prices

            prices.remember(shell.home, prices.box_name(shell.draft.hardware), dollars)
        shell.set_values(limits__price_per_hour=dollars or None)
        then()

    shell.push_screen(
        Ask(
            "What does this machine cost per hour?",
            value=f"{shell.draft.price:g}" if shell.draft.price else "",
            help="In dollars, from the page where you rent it; it turns time into money in the plan.\n"
            "It is kept for this machine. 0 means: show no money.",
            check=_price,
        ),
        take,
    )


def learn(shell: TuiFt, hardware: Hardware) -> None:
    """Take in the machine, with the price that is known for it."""
    from tui_ft.planning import prices

    shell.change(hardware=hardware)
    known = prices.known(shell.home, prices.box_name(hardware))
    if known is not None and not shell.draft.price:
        shell.set_values(limits__price_per_hour=known)


def _price(text: str) -> float:
    """Dollars per hour as typed. Raises ValueError with what to type."""
    try:
        price = float(text.strip().lstrip("$").replace(",", ".") or "0")
    except ValueError:
        raise ValueError("Type a number such as 0.55.") from None
    if not 0 <= price < 10_000:
        raise ValueError("Type the price of one hour, such as 0.55.")
    return price
