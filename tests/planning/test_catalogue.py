"""GPUs by name."""

from __future__ import annotations

import pytest

from tui_ft.errors import InputError
from tui_ft.planning.catalogue import cards, find, get
from tui_ft.text import GIB


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
        ("nvidia geforce rtx 4090", "NVIDIA GeForce RTX 4090"),
        ("a100", "NVIDIA A100-SXM4-40GB"),
        ("A100 80GB", "NVIDIA A100 80GB PCIe"),
        ("a100-sxm4-80g", "NVIDIA A100-SXM4-80GB"),
        ("a40", "NVIDIA A40"),
        ("A10", "NVIDIA A10"),
        ("A10G", "NVIDIA A10G"),
        ("L4", "NVIDIA L4"),
        ("L40S", "NVIDIA L40S"),
        ("t4", "Tesla T4"),
        ("v100 32gb", "Tesla V100-SXM2-32GB"),
        ("H100", "NVIDIA H100 PCIe"),
        ("RTX PRO 6000", "NVIDIA RTX PRO 6000 Blackwell"),
    ],
)
def test_loose_names_find_their_card(written: str, found: str) -> None:
    card = find(written)
    assert card is not None
    assert card.name == found


@pytest.mark.parametrize(
    "written", ["", "GPU", "nvidia", "RTX 9999", "24gb", "NVIDIA GeForce RTX 4090 Laptop GPU"]
)
def test_names_of_no_card_find_none(written: str) -> None:
    assert find(written) is None


def test_an_unknown_name_says_so_with_the_nearest() -> None:
    with pytest.raises(InputError) as raised:
        get("RTX 4095")
    assert "no GPU called 'RTX 4095'" in str(raised.value)
    assert "RTX 4090" in raised.value.fix
    assert "--vram" in raised.value.fix


def test_every_name_finds_itself() -> None:
    for card in cards():
        assert find(card.name) == card


def test_figures_are_plausible_and_have_a_source() -> None:
    for card in cards():
        assert 10 * GIB < card.memory_bytes < 200 * GIB
        assert card.bf16 == (card.capability >= (8, 0))
        figures = {
            "memory": card.memory_bytes,
            "capability": card.capability,
            "bandwidth": card.bandwidth_gb_s,
            "tflops": card.tflops,
            "price": card.price,
        }
        assert card.sources.keys() == {name for name, figure in figures.items() if figure is not None}
        assert set(card.sources.values()) <= set("STLWGK")
