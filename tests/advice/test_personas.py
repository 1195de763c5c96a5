"""People as they come, and what a thoughtful expert would tell each of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tui_ft.advice.questions import Answers, path
from tui_ft.advice.situations import VerdictName
from tui_ft.advice.verdict import decide


@dataclass(frozen=True)
class Persona:
    who: str
    answers: Answers
    verdict: VerdictName
    said: tuple[str, ...] = ()  # words that have to stand somewhere in the verdict
    contradicts: bool = False


PERSONAS = (
    Persona(
        "support lead: tickets to JSON, examples in the prompt come close, 620 checked rows",
        {
            "gap": "form",
            "behaviour": ("format", "task"),
            "tried": ("instructions", "few_shot"),
            "result": "close",
            "limits": ("none",),
            "examples": "500_to_999",
            "stability": "stable",
            "privacy": "may_leave",
            "hosting": "own",
            "measure": "test_rows",
        },
        "fine-tune",
        ("three baselines", "You are close already", "JSON by a schema", "wait for 1,000 (E)"),
    ),
    Persona(
        "people department: questions about a handbook, nothing tried",
        {
            "gap": "facts",
            "knowledge": ("private", "documents"),
            "tried": ("none",),
            "limits": ("none",),
            "privacy": "in_house",
        },
        "RAG",
        ("fits into a few pages", "does not add facts reliably", "open weights"),
    ),
    Persona(
        "law office: sources must be named, statutes change, retrieval tried and poor",
        {
            "gap": "facts",
            "knowledge": ("sources", "changing"),
            "tried": ("rag",),
            "result": "not_enough",
            "limits": ("none",),
            "privacy": "may_leave",
        },
        "RAG",
        ("right passage was found at all", "cannot say where it knows"),
    ),
    Persona(
        "founder who wants to train 5,000 product pages into the model",
        {
            "gap": "facts",
            "knowledge": ("private",),
            "tried": ("training",),
            "result": "not_enough",
            "limits": ("none",),
            "privacy": "may_leave",
            "examples": "1000_to_9999",
        },
        "RAG",
        ("trained on facts before",),
    ),
    Persona(
        "newsletter writer: too chatty, nothing tried",
        {
            "gap": "form",
            "behaviour": ("tone",),
            "tried": ("none",),
            "limits": ("none",),
            "examples": "50_to_99",
            "stability": "sometimes",
        },
        "improve the prompt",
        ("No prompt has been tried yet",),
    ),
    Persona(
        "brand team: voice still wrong with examples in the prompt, 80 texts by the house author",
        {
            "gap": "form",
            "behaviour": ("tone",),
            "tried": ("instructions", "system", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "50_to_99",
            "stability": "stable",
            "privacy": "may_leave",
            "hosting": "own",
            "measure": "people",
        },
        "fine-tune",
        ("by heart",),
    ),
    Persona(
        "teacher: good prompt, not enough, 20 examples",
        {
            "gap": "form",
            "behaviour": ("format",),
            "tried": ("instructions",),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "under_50",
        },
        "few-shot",
        ("three to eight inputs",),
    ),
    Persona(
        "insurer: extraction fails even with examples in the prompt, 30 checked rows",
        {
            "gap": "form",
            "behaviour": ("task", "format"),
            "tried": ("instructions", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "under_50",
        },
        "not yet (collect data)",
        ("save each real input", "Fewer than 50"),
    ),
    Persona(
        "clinic: sorts findings, 80 checked rows",
        {
            "gap": "form",
            "behaviour": ("task",),
            "tried": ("instructions", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "50_to_99",
            "stability": "stable",
            "privacy": "in_house",
        },
        "not yet (collect data)",
        ("double your examples",),
    ),
    Persona(
        "advertising platform: frontier model is right, 20 million calls a day, 5,000 checked logs",
        {
            "gap": "cost",
            "behaviour": ("task",),
            "tried": ("instructions",),
            "result": "good_enough",
            "limits": ("huge_volume",),
            "examples": "1000_to_9999",
            "stability": "stable",
            "privacy": "may_leave",
            "hosting": "own",
            "measure": "test_rows",
        },
        "fine-tune a smaller model",
        ("10 to 50 times cheaper",),
    ),
    Persona(
        "voice assistant: under 100 ms, 2,000 examples",
        {
            "gap": "cost",
            "behaviour": ("tools",),
            "tried": ("few_shot",),
            "result": "good_enough",
            "limits": ("latency", "prompt_room"),
            "examples": "1000_to_9999",
            "stability": "stable",
            "hosting": "own",
        },
        "fine-tune a smaller model",
    ),
    Persona(
        "hospital: terms of the field, data must stay, and yet a provider shall run it",
        {
            "gap": "form",
            "behaviour": ("language",),
            "tried": ("instructions", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "1000_to_9999",
            "stability": "stable",
            "privacy": "in_house",
            "hosting": "provider",
            "measure": "people",
        },
        "fine-tune",
        ("model of your own",),
        contradicts=True,
    ),
    Persona(
        "small agency: no GPU and no wish for one, 300 rows",
        {
            "gap": "form",
            "behaviour": ("format",),
            "tried": ("instructions", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "100_to_499",
            "stability": "stable",
            "privacy": "may_leave",
            "hosting": "provider",
            "measure": "test_rows",
        },
        "managed API",
        ("price per million training tokens",),
    ),
    Persona(
        "bank: rates must be current and the advice must follow the house form; both were tried",
        {
            "gap": "both",
            "knowledge": ("changing",),
            "behaviour": ("format", "refusals"),
            "tried": ("instructions", "few_shot", "rag"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "500_to_999",
            "stability": "stable",
            "privacy": "in_house",
            "hosting": "own",
            "measure": "test_rows",
        },
        "fine-tune + RAG",
        ("neither replaces the other", "question, retrieved passages"),
    ),
    Persona(
        "shop: facts and form wrong, only a prompt tried",
        {
            "gap": "both",
            "knowledge": ("private",),
            "behaviour": ("tone",),
            "tried": ("instructions",),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "100_to_499",
            "stability": "stable",
        },
        "RAG",
        ("gone once the facts are there",),
    ),
    Persona(
        "moderation team: rules rewritten every two weeks, 900 rows",
        {
            "gap": "form",
            "behaviour": ("task", "refusals"),
            "tried": ("instructions", "few_shot"),
            "result": "close",
            "limits": ("none",),
            "examples": "500_to_999",
            "stability": "often",
        },
        "improve the prompt",
        ("out of date",),
    ),
    Persona("happy user", {"gap": "nothing"}, "improve the prompt", ("nothing here needs training",)),
    Persona(
        "laboratory: 50,000 rows, budget for several large GPUs",
        {
            "gap": "form",
            "behaviour": ("language", "task"),
            "tried": ("instructions", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "10000_or_more",
            "stability": "stable",
            "privacy": "may_leave",
            "hosting": "own",
            "ambition": "best",
            "measure": "test_rows",
        },
        "fine-tune",
        ("Train LoRA first", "every weight"),
    ),
    Persona(
        "newcomer who knows nothing yet",
        {
            "gap": "dont_know",
            "knowledge": ("dont_know",),
            "behaviour": ("dont_know",),
            "tried": ("dont_know",),
            "limits": ("dont_know",),
            "examples": "dont_know",
            "stability": "dont_know",
            "privacy": "dont_know",
            "hosting": "dont_know",
            "measure": "dont_know",
        },
        "improve the prompt",
        ("First find out", "sort the failures"),
    ),
    Persona(
        "team with a bill that feels high, but few calls",
        {
            "gap": "cost",
            "behaviour": ("task",),
            "tried": ("instructions", "few_shot"),
            "result": "good_enough",
            "limits": ("none",),
        },
        "improve the prompt",
        ("cost of one call",),
        contradicts=True,
    ),
    Persona(
        "analyst: everything speaks for training, but nobody has counted the examples",
        {
            "gap": "form",
            "behaviour": ("format",),
            "tried": ("instructions", "few_shot"),
            "result": "not_enough",
            "limits": ("none",),
            "examples": "dont_know",
        },
        "not yet (collect data)",
        ("Count your good examples",),
    ),
    Persona(
        "says the form is wrong, and that the prompt is good enough",
        {
            "gap": "form",
            "behaviour": ("format",),
            "tried": ("few_shot",),
            "result": "good_enough",
            "limits": ("none",),
        },
        "improve the prompt",
        ("The second counts",),
        contradicts=True,
    ),
)


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.who.split(":")[0])
def test_the_expert_s_verdict(persona: Persona) -> None:
    verdict = decide(persona.answers)
    assert verdict.verdict == persona.verdict
    said = str(verdict.to_json())
    assert [words for words in persona.said if words not in said] == []
    assert bool(verdict.contradictions) == persona.contradicts


def test_the_personas_meet_every_verdict() -> None:
    assert len({persona.verdict for persona in PERSONAS}) == 8


def test_a_no_is_explained_as_fully_as_a_yes() -> None:
    for persona in PERSONAS:
        verdict = decide(persona.answers)
        assert len(verdict.next_steps) >= 3
        assert verdict.would_change
        assert verdict.headline.endswith(".")


def test_what_was_and_was_not_tried() -> None:
    verdict = decide({"gap": "both", "tried": ("instructions",), "knowledge": ("private",)})
    assert verdict.tried == ("A prompt with clear instructions",)
    assert any("retrieval" in way for way in verdict.not_tried)
    assert any("few-shot" in way for way in verdict.not_tried)


def test_the_footer_leans_before_everything_is_known() -> None:
    from tui_ft.advice.verdict import leaning

    lean = leaning({"gap": "form", "behaviour": ("format",), "tried": ("few_shot",), "result": "not_enough"})
    assert lean.toward == "fine-tune"
    assert lean.missing[0] == "how many good examples you have"
    assert len(f"So far    {lean.so_far}") <= 80
    assert leaning({}).toward is None


def test_the_wizard_asks_little_when_little_matters() -> None:
    assert [question.id for question in path({"gap": "nothing"})] == ["gap"]
    asked = [question.id for question in path({"gap": "facts", "tried": ("none",)})]
    assert "examples" not in asked
    assert "result" not in asked
