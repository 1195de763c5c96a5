"""The same training at a managed API."""

from __future__ import annotations

import pytest

from tui_ft.planning.managed import compare, dollars, sentence


def test_prices_are_those_of_the_guides() -> None:
    offers = {offer.provider: offer for offer in compare(1_000_000, 8_000_000_000)}
    assert (offers["Amazon Bedrock"].low, offers["Amazon Bedrock"].high) == (8, 12)
    assert (offers["Google Vertex AI"].low, offers["Google Vertex AI"].high) == (5, 10)
    assert (offers["Azure"].low, offers["Azure"].high) == (6, 15)
    assert offers["OpenAI"].high == 25
    assert all(offer.as_of and offer.source for offer in offers.values())


def test_it_grows_with_tokens_and_the_cheapest_is_first() -> None:
    once, twice = compare(400_000, 8_000_000_000), compare(800_000, 8_000_000_000)
    assert [offer.low for offer in once] == sorted(offer.low for offer in once)
    assert twice[0].high == pytest.approx(2 * once[0].high)


def test_a_provider_of_small_models_is_left_out_for_large_ones() -> None:
    assert "Ori" in {offer.provider for offer in compare(1000, 8_000_000_000)}
    assert "Ori" not in {offer.provider for offer in compare(1000, 70_000_000_000)}
    assert "Ori" not in {offer.provider for offer in compare(1000)}


def test_the_sentence_says_when_and_to_check() -> None:
    text = sentence(compare(1_200_000, 70_000_000_000), 1_200_000)
    assert "the same 1.2M tokens" in text
    assert "$10–14 at Amazon Bedrock" in text
    assert "prices of 2026" in text
    assert "check" in text
    assert sentence((), 5) == ""


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.001, 0.009, "under $0.01"),
        (0.001, 0.02, "up to $0.02"),
        (0.351, 0.48, "$0.35–0.48"),
        (2, 2, "$2.00"),
        (9.6, 14.4, "$10–14"),
        (1200.4, 1200.4, "$1,200"),
    ],
)
def test_dollars(low: float, high: float, text: str) -> None:
    assert dollars(low, high) == text
