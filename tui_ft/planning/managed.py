"""What the same training would cost at a managed API: per-token prices of managed.toml, with their dates."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from tui_ft.planning.plan import ManagedCost


def compare(tokens: int, parameters: int | None = None) -> tuple[ManagedCost, ...]:
    """Dollars for training on this many tokens (all epochs), cheapest first.

    Providers that train open models up to a size are left out for larger ones, or where `parameters` is
    unknown. Rows for validation, which some of them charge too, are not counted.
    """
    offers = [
        ManagedCost(
            provider=offer["provider"],
            low=tokens / 1e6 * offer["price"][0],
            high=tokens / 1e6 * offer["price"][1],
            as_of=offer["as_of"],
            source=offer["source"],
        )
        for offer in _offers()
        if "largest" not in offer or (parameters is not None and parameters <= offer["largest"] * 1e9)
    ]
    return tuple(sorted(offers, key=lambda offer: (offer.low, offer.high)))


def sentence(offers: Sequence[ManagedCost], tokens: int) -> str:
    """`the same 1.2M tokens at a managed API: about $10–14 at Amazon Bedrock, …`; "" without offers."""
    if not offers:
        return ""
    at = ", ".join(f"{dollars(offer.low, offer.high)} at {offer.provider}" for offer in offers)
    amount = f"{tokens / 1e6:,.1f}M" if tokens >= 1e6 else f"{tokens:,}"
    years = " and ".join(sorted({offer.as_of.split()[-1] for offer in offers}))
    return f"the same {amount} tokens at a managed API: about {at} (prices of {years}; check them)"


def dollars(low: float, high: float) -> str:
    """`$0.35–0.48`; whole dollars from 10 on, `up to $0.02` from less than half a cent."""
    if high < 0.01:
        return "under $0.01"
    if low < 0.005:
        return f"up to ${high:,.2f}"
    ends = [f"{value:,.0f}" if high >= 10 else f"{value:,.2f}" for value in (low, high)]
    return f"${ends[0]}" if ends[0] == ends[1] else f"${ends[0]}–{ends[1]}"


@cache
def _offers() -> list[dict[str, Any]]:
    text = resources.files("tui_ft.planning").joinpath("managed.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["offer"]
    return found
