"""GPUs by name: memory, rates and abilities of cards that this box need not have."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from tui_ft.errors import InputError
from tui_ft.text import GIB, nearest


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU model. Figures that have no source are None; `sources` explains the others (see gpus.toml)."""

    name: str  # as NVML reports it
    memory_bytes: int
    capability: tuple[int, int]
    bandwidth_gb_s: float | None = None
    tflops: float | None = None  # dense, 16 bits
    price: tuple[float, float] | None = None  # dollars per hour, low and high
    sources: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def bf16(self) -> bool:
        """Computes bf16 natively."""
        return self.capability >= (8, 0)

    @property
    def fp8(self) -> bool:
        """Computes fp8 natively."""
        return self.capability >= (8, 9)

    @property
    def short_name(self) -> str:
        """Without the maker: `RTX 4090`, `A100-SXM4-80GB`."""
        return re.sub(r"^(NVIDIA|Tesla)\s+|GeForce\s+", "", re.sub(r"^NVIDIA\s+", "", self.name))


@cache
def cards() -> tuple[Card, ...]:
    """Every card of gpus.toml, in its order."""
    text = resources.files("tui_ft.planning").joinpath("gpus.toml").read_text(encoding="utf-8")
    return tuple(map(_card, tomllib.loads(text)["gpu"]))


def find(name: str) -> Card | None:
    """The card that a loosely written name means (`4090`, `rtx4090`, `a100 80gb`); None when none does.

    Where several match, the one with the least memory, then the shortest name: `A100` is the 40 GB card.
    """
    wanted = _tokens(name)
    if not any(character.isdigit() for token in wanted for character in token):
        return None
    matches = [card for card in cards() if wanted <= _tokens(card.name)]
    return min(matches, key=lambda card: (card.memory_bytes, len(_tokens(card.name) - wanted)), default=None)


def get(name: str) -> Card:
    """Like `find`, but raises InputError for an unknown name, with the nearest ones."""
    card = find(name)
    if card is None:
        near = nearest(name, [card.short_name for card in cards()])
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise InputError(
            f"no GPU called {name!r} is in the catalogue",
            where="--gpu",
            fix=f"{hint}--vram GIB works for any card.",
        )
    return card


def _tokens(name: str) -> frozenset[str]:
    in_gigabytes = re.sub(r"(?<![a-z\d])(\d+) ?gi?b?\b", r"\1gb", name.lower())
    return frozenset(
        re.findall(r"[a-z]{3,}|[a-z]{0,2}\d+[a-z]*|[a-z]+", in_gigabytes)
    )  # rtx 4090, a100, 80gb


def _card(block: Mapping[str, Any]) -> Card:
    price = block.get("price")
    major, minor = block["capability"]
    return Card(
        name=block["name"],
        memory_bytes=round(block["memory_gib"] * GIB),
        capability=(major, minor),
        bandwidth_gb_s=block.get("bandwidth"),
        tflops=block.get("tflops"),
        price=(price[0], price[1]) if price else None,
        sources=block["sources"],
    )
