"""What a box costs per hour, asked once and kept in the home folder, by the name of its GPUs."""

from __future__ import annotations

import math
import tomllib
from collections import Counter

import tomli_w

from tui_ft.errors import InputError
from tui_ft.files import write_atomically
from tui_ft.hardware.facts import Hardware
from tui_ft.planning.catalogue import find
from tui_ft.settings import Home

MOST = 10_000.0  # dollars per hour; more is a typing error


def box_name(hardware: Hardware) -> str:
    """What prices are kept under: `NVIDIA H100 80GB HBM3`, `8 x NVIDIA H100 80GB HBM3`, or the processor."""
    names = Counter(gpu.name for gpu in hardware.gpus)
    if not names:
        return hardware.host.cpu
    return " + ".join(name if number == 1 else f"{number} x {name}" for name, number in names.items())


def known(home: Home, box: str) -> float | None:
    """Dollars per hour the user gave for this box; None when nobody asked yet, or the file is damaged."""
    return _read(home).get(_key(box))


def remember(home: Home, box: str, dollars: float) -> None:
    """Keep the price of a box; 0 forgets it.

    Raises InputError for what is no price, EnvironmentProblem when the home folder cannot be written.
    """
    if not math.isfinite(dollars) or not 0 <= dollars <= MOST:
        raise InputError(
            f"{dollars:g} is no price for an hour", where="price", fix="Give dollars, such as --price 0.55."
        )
    prices = _read(home)
    prices.pop(_key(box), None)
    if dollars:
        prices[_key(box)] = dollars
    write_atomically(home.prices, tomli_w.dumps({"dollars_per_hour": prices}))


def _key(box: str) -> str:
    """The catalogue's name for a single GPU, however it is written: `--gpu 4090` is the box that has one."""
    card = find(box)
    return card.short_name if card else box


def _read(home: Home) -> dict[str, float]:
    """Prices by box. A damaged file counts as empty: asking again mends it."""
    try:
        document = tomllib.loads(home.prices.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}
    table = document.get("dollars_per_hour")
    if not isinstance(table, dict):
        return {}
    return {
        name: float(value)
        for name, value in table.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MOST
    }
