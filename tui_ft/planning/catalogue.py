"""GPUs by name: memory, rates and abilities of cards that this box need not have."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from tui_ft.errors import InputError
from tui_ft.text import GIB, excerpt, nearest

_PROFILE = re.compile(r"\b(\d)g\.(\d+)gb\b")  # of a MIG slice
_SLICE_MEMORY = 0.95  # of what a profile's name says, at least: 1g.5gb has 4.75 GiB, 3g.20gb 19.6
_VENDOR = {"nvidia", "geforce", "tesla", "gpu"}
_WORDS = re.compile(r"[a-z]{3,}|[a-z]{0,2}\d+[a-z]*|[a-z]+")  # rtx 4090, a100, 80gb


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU model. Figures that have no source are None; `sources` explains the others (see gpus.toml)."""

    name: str  # as NVML reports it
    memory_bytes: int
    capability: tuple[int, int]
    bandwidth_gb_s: float | None = None
    tflops: float | None = None  # dense, 16 bits
    price: tuple[float, float] | None = None  # typical dollars per hour, low and high
    words: frozenset[str] = frozenset()  # every word that names it, memory size included
    mig: tuple[str, ...] = ()  # profiles of the slices it can be cut into
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
    def is_slice(self) -> bool:
        """A MIG slice of a card."""
        return " MIG " in self.name

    @property
    def short_name(self) -> str:
        """Without the maker: `RTX 4090`, `A100-SXM4-80GB`."""
        return re.sub(r"^(NVIDIA|Tesla)\s+|GeForce\s+", "", re.sub(r"^NVIDIA\s+", "", self.name))

    def slice(self, profile: str) -> Card:
        """A MIG slice by its profile, such as `3g.40gb`: its own memory, and its share of the rates.

        A card has 8 parts of which 7 can be cut off; A30 and RTX PRO 6000 have 4. Nobody lists prices of
        slices.
        """
        parts, gigabytes = map(int, _PROFILE.fullmatch(profile).groups())  # type: ignore[union-attr]
        share = parts / (4 if self.mig[-1].startswith("4g") else 8)
        return replace(
            self,
            name=f"{self.name} MIG {profile}",
            memory_bytes=round(gigabytes * _SLICE_MEMORY * GIB),
            bandwidth_gb_s=None if self.bandwidth_gb_s is None else self.bandwidth_gb_s * share,
            tflops=None if self.tflops is None else self.tflops * share,
            price=None,
            mig=(),
        )


@cache
def cards() -> tuple[Card, ...]:
    """Every card of gpus.toml, in its order."""
    return tuple(map(_card, _document()["gpu"]))


def prices_as_of() -> str:
    """When the typical prices were read: `November 2026`."""
    return str(_document()["prices_as_of"])


def candidates(name: str) -> tuple[Card, ...]:
    """The cards that a loosely written name (`4090`, `a100 80`, `h100 sxm`, `A100 MIG 3g.40gb`) can mean."""
    profile = _PROFILE.search(name.lower())
    rest = _PROFILE.sub(" ", re.sub(r"\bmig\b", " ", name.lower()))
    wanted = _words(rest)
    if profile:
        whole = [card for card in cards() if profile[0] in card.mig and (not wanted or _means(wanted, card))]
        return tuple(card.slice(profile[0]) for card in _sharpest(wanted, whole))
    return tuple(_sharpest(wanted, [card for card in cards() if _means(wanted, card)]))


def find(name: str) -> Card | None:
    """The one card that a name means; None when none does, or several that differ in memory or speed."""
    found = candidates(name)
    return found[0] if found and _alike(found) else None


def get(name: str) -> Card:
    """Like `find`, but raises InputError: for an unknown name with the nearest, else with the candidates."""
    found = candidates(name)
    if not found:
        near = nearest(name, [card.short_name for card in cards()])
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise InputError(
            f"no GPU called {excerpt(name, 40)!r} is in the catalogue",
            where="--gpu",
            fix=f"{hint}--vram GIB works for any card.",
        )
    if not _alike(found):
        raise InputError(
            f"{excerpt(name, 40)!r} may be any of {len(found)} GPUs",
            where="--gpu",
            fix=f"Say which: {', '.join(card.short_name for card in found)}.",
        )
    return found[0]


def _means(wanted: frozenset[str], card: Card) -> bool:
    """Every word is one of the card's, and one of them tells the model rather than a size."""
    if not all(word in card.words or f"{word}gb" in card.words for word in wanted):
        return False
    return any(re.search(r"\d", word) and not word.endswith("gb") for word in wanted & card.words)


def _sharpest(wanted: frozenset[str], found: Sequence[Card]) -> Sequence[Card]:
    """Of the candidates the one that is written in full (`H200`), or whose name is part of all others."""
    for card in found:
        own = _words(card.name)
        if wanted == own or all(own <= _words(other.name) for other in found):
            return [card]
    return found


def _alike(found: Sequence[Card]) -> bool:
    """The same for a plan: memory to 1 %, rate to 15 %, abilities."""
    first = found[0]
    return all(
        abs(card.memory_bytes / first.memory_bytes - 1) < 0.01
        and card.capability == first.capability
        and (not card.tflops or not first.tflops or abs(card.tflops / first.tflops - 1) < 0.15)
        for card in found
    )


def _words(name: str) -> frozenset[str]:
    in_gigabytes = re.sub(r"(?<![a-z\d])(\d+) ?gi?b?\b", r"\1gb", name.lower())
    return frozenset(_WORDS.findall(in_gigabytes)) - _VENDOR


@cache
def _document() -> dict[str, Any]:
    text = resources.files("tui_ft.planning").joinpath("gpus.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _card(block: Mapping[str, Any]) -> Card:
    price = block.get("price")
    major, minor = block["capability"]
    also = {*block.get("also", ()), f"{block['sold_gb']}gb"}
    return Card(
        name=block["name"],
        memory_bytes=round(block["memory_gib"] * GIB),
        capability=(major, minor),
        bandwidth_gb_s=block.get("bandwidth"),
        tflops=block.get("tflops"),
        price=(price[0], price[1]) if price else None,
        words=_words(block["name"]) | also,
        mig=tuple(block.get("mig", ())),
        sources=block["sources"],
    )
