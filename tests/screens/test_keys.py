"""The key table: one source for bindings, footer, card and docs; no key a terminal keeps for itself."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest
from textual.content import Content
from tui_ft.screens import keys, shell
from tui_ft.screens.widgets import frame

TAKEN = {f"ctrl+{letter}" for letter in "bszhmij"}
PLACES = sorted(keys.PLACES)


def all_keys(place: str) -> list[str]:
    table = (*keys.PLACES[place], *keys.EVERYWHERE)
    return [one for key in table for one in key.keys.split(",")]


@pytest.mark.parametrize("place", PLACES)
def test_no_key_means_two_things(place: str) -> None:
    twice = [key for key, times in Counter(all_keys(place)).items() if times > 1]
    assert twice == []


@pytest.mark.parametrize("place", PLACES)
def test_no_key_of_the_multiplexer(place: str) -> None:
    assert TAKEN.isdisjoint(all_keys(place))


@pytest.mark.parametrize("place", PLACES)
def test_footer_is_short_and_ends_with_the_card(place: str) -> None:
    shown = keys.footer(place)
    assert len(shown) <= 7 if place == "train" else 6
    assert shown[-1].id == "help"
    assert [key.main for key in shown].count(True) == 1


@pytest.mark.parametrize("place", PLACES)
def test_footer_fits_80_columns_and_keeps_the_card(place: str) -> None:
    drawn = frame.footer(keys.footer(place), 80, {})
    assert drawn.cell_length <= 80
    assert drawn.plain.endswith("keys")
    assert drawn.plain.startswith(" enter")


def test_ids_are_unique() -> None:
    ids = [key.id for table in (keys.EVERYWHERE, *keys.PLACES.values()) for key in table]
    assert len(ids) == len(set(ids))


def test_every_shown_key_is_explained() -> None:
    for table in (keys.EVERYWHERE, *keys.PLACES.values()):
        for key in table:
            assert key.help or not key.footer, key.id


def test_docs_are_drawn_from_the_table() -> None:
    docs = Path(__file__).parents[2] / "docs" / "keys.md"
    assert docs.read_text(encoding="utf-8") == keys.reference(), (
        "python -m tui_ft.screens.keys > docs/keys.md"
    )


def test_a_narrow_footer_drops_keys_but_not_the_main_one() -> None:
    drawn: Content = frame.footer(keys.footer("data"), 30, {})
    assert drawn.plain.startswith(" enter next")
    assert drawn.plain.endswith("? keys")
    assert drawn.cell_length <= 30


def test_a_remapped_key_is_shown_by_its_new_name() -> None:
    assert "x stop and keep" in frame.footer(keys.footer("train"), 200, {"train.stop": "x"}).plain


@pytest.mark.parametrize("place", PLACES)
def test_every_key_does_something(place: str) -> None:
    module, name = shell._PAGES[place]
    page = getattr(importlib.import_module(f"tui_ft.screens.{module}"), name)
    for key in keys.PLACES[place]:
        assert hasattr(page, f"action_{key.action.partition('(')[0]}"), key.id
    for key in keys.EVERYWHERE:
        action = f"action_{key.action.partition('(')[0]}"
        assert hasattr(page, action) or hasattr(shell.TuiFt, action), key.id
