"""GPUs by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import InputError
from tui_ft.planning.catalogue import candidates, cards, find, get, prices_as_of
from tui_ft.text import GIB


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
        ("RTX 4090 24GB", "NVIDIA GeForce RTX 4090"),
        ("nvidia geforce rtx 4090", "NVIDIA GeForce RTX 4090"),
        ("3090", "NVIDIA GeForce RTX 3090"),
        ("3090 ti", "NVIDIA GeForce RTX 3090 Ti"),
        ("a100 80", "NVIDIA A100-SXM4-80GB"),
        ("A100 80GB", "NVIDIA A100-SXM4-80GB"),
        ("a100 80gb pcie", "NVIDIA A100 80GB PCIe"),
        ("a100 40gb", "NVIDIA A100-SXM4-40GB"),
        ("a100-sxm4-80g", "NVIDIA A100-SXM4-80GB"),
        ("a40", "NVIDIA A40"),
        ("A10", "NVIDIA A10"),
        ("A10G", "NVIDIA A10G"),
        ("A5000", "NVIDIA RTX A5000"),
        ("rtx a6000", "NVIDIA RTX A6000"),
        ("rtx6000 ada", "NVIDIA RTX 6000 Ada Generation"),
        ("L4", "NVIDIA L4"),
        ("L40s", "NVIDIA L40S"),
        ("t4", "Tesla T4"),
        ("v100 32gb", "Tesla V100-SXM2-32GB"),
        ("h100 sxm", "NVIDIA H100 80GB HBM3"),
        ("h100 pcie", "NVIDIA H100 PCIe"),
        ("h100 nvl", "NVIDIA H100 NVL"),
        ("H200", "NVIDIA H200"),
        ("gh200", "NVIDIA GH200 480GB"),
        ("b200", "NVIDIA B200"),
        ("5090", "NVIDIA GeForce RTX 5090"),
        ("RTX PRO 6000", "NVIDIA RTX PRO 6000 Blackwell Server Edition"),
        ("A100 3g.40gb", "NVIDIA A100-SXM4-80GB MIG 3g.40gb"),
        ("H100 NVL MIG 1g.12gb", "NVIDIA H100 NVL MIG 1g.12gb"),
    ],
)
def test_loose_names_find_their_card(written: str, found: str) -> None:
    card = get(written)
    assert card.name == found
    assert find(written) == card


@pytest.mark.parametrize(
    "written",
    ["", "GPU", "nvidia", "RTX 9999", "24gb", "80", "NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 3g.40gb"],
)
def test_names_of_no_card_find_none(written: str) -> None:
    assert find(written) is None
    assert candidates(written) == ()


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("A100", ["A100-SXM4-40GB", "A100 80GB PCIe"]),
        ("H100", ["H100 PCIe", "H100 80GB HBM3", "H100 NVL"]),
        ("v100", ["V100-SXM2-16GB", "V100-SXM2-32GB"]),
        ("RTX 6000", ["RTX 6000 Ada Generation", "RTX PRO 6000 Blackwell Server Edition"]),
        ("3g.40gb", ["A100-SXM4-80GB MIG 3g.40gb", "H100 PCIe MIG 3g.40gb"]),
    ],
)
def test_a_name_of_several_cards_lists_them(written: str, named: list[str]) -> None:
    assert find(written) is None
    with pytest.raises(InputError) as raised:
        get(written)
    assert f"may be any of {len(candidates(written))} GPUs" in str(raised.value)
    for name in named:
        assert name in raised.value.fix


def test_an_unknown_name_says_so_with_the_nearest() -> None:
    with pytest.raises(InputError) as raised:
        get("RTX 4095")
    assert "no GPU called 'RTX 4095'" in str(raised.value)
    assert "RTX 4090" in raised.value.fix
    assert "--vram" in raised.value.fix


def test_every_name_finds_itself() -> None:
    for card in cards():
        assert find(card.name) == card
        for profile in card.mig:
            assert find(f"{card.name} MIG {profile}") == card.slice(profile)


@given(st.text(max_size=40))
def test_any_text_is_a_card_or_none(text: str) -> None:
    found = candidates(text)
    assert find(text) in (None, *found)


def test_a_slice_has_a_part_of_its_card() -> None:
    whole = get("a100 80gb")
    for profile in whole.mig:
        part = whole.slice(profile)
        assert part.is_slice
        assert part.memory_bytes < whole.memory_bytes
        assert part.tflops is not None
        assert whole.tflops is not None
        assert part.tflops < whole.tflops
        assert part.price is None
    assert not whole.is_slice
    assert get("A100 3g.40gb").memory_bytes < 39.25 * GIB  # what the driver reports of such a slice


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
        assert set(card.sources.values()) <= set("STLWGKP")
        if card.price:
            assert 0.1 <= card.price[0] <= card.price[1] < 10
    assert prices_as_of()
