"""What holds for every combination of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_ft.advice.questions import QUESTIONS, Answers, Question, chosen, next_question, path
from tui_ft.advice.situations import SITUATIONS, TRAINING, VERDICTS, Situation
from tui_ft.advice.verdict import Verdict, decide, leaning

HAS_EXAMPLES = ("50_to_99", "100_to_499", "500_to_999", "1000_to_9999", "10000_or_more")


def _answer(question: Question) -> st.SearchStrategy[str | tuple[str, ...]]:
    if question.many:
        return st.lists(st.sampled_from(question.values), min_size=1, unique=True).map(tuple)
    return st.sampled_from(question.values)


def _any_answers() -> st.SearchStrategy[Answers]:
    """Any subset of the questions with any answers, in any contradiction."""
    return st.fixed_dictionaries({}, optional={question.id: _answer(question) for question in QUESTIONS})


@st.composite
def _asked_answers(draw: st.DrawFn) -> tuple[Answers, int]:
    """Answers as the wizard collects them, some questions skipped, and how many questions were put."""
    answers: dict[str, str | tuple[str, ...]] = {}
    skipped: set[str] = set()
    asked = 0
    while question := next_question(answers, skipped=skipped):
        asked += 1
        if draw(st.booleans()) and draw(st.booleans()):
            skipped.add(question.id)
        else:
            answers[question.id] = draw(_answer(question))
    return answers, asked


def _has_words(verdict: Verdict) -> bool:
    lines = [verdict.headline, *(reason.text for reason in verdict.reasons), *verdict.next_steps]
    return all(line.strip() for line in lines)


@given(_any_answers())
@settings(max_examples=200)
def test_every_combination_gets_a_verdict_with_reasons_and_steps(answers: Answers) -> None:
    verdict = decide(answers)
    assert verdict.verdict in VERDICTS
    assert verdict.reasons
    assert len(verdict.next_steps) >= 3
    assert verdict.would_change
    assert _has_words(verdict)


@given(_any_answers())
@settings(max_examples=200)
def test_training_needs_fifty_counted_examples(answers: Answers) -> None:
    if decide(answers).verdict in TRAINING:
        assert chosen(answers, "examples")[0] in HAS_EXAMPLES


@given(_any_answers(), st.sampled_from(["under_50", "dont_know"]))
@settings(max_examples=100)
def test_too_few_or_uncounted_examples_never_lead_to_training(answers: Answers, count: str) -> None:
    assert decide({**answers, "examples": count}).verdict not in TRAINING


@given(_any_answers())
@settings(max_examples=100)
def test_facts_alone_never_lead_to_training(answers: Answers) -> None:
    assert decide({**answers, "gap": "facts"}).verdict not in TRAINING
    facts_without_form = {**answers, "gap": "dont_know", "knowledge": ("private",), "behaviour": ("none",)}
    assert decide(facts_without_form).verdict not in TRAINING


@given(_any_answers())
@settings(max_examples=100)
def test_nothing_wrong_never_leads_to_training(answers: Answers) -> None:
    assert decide({**answers, "gap": "nothing"}).verdict == "improve the prompt"


@given(_any_answers())
@settings(max_examples=100)
def test_data_that_must_stay_never_goes_to_a_provider(answers: Answers) -> None:
    assert decide({**answers, "privacy": "in_house"}).verdict != "managed API"


@given(_any_answers())
@settings(max_examples=100)
def test_often_changing_wishes_never_lead_to_training(answers: Answers) -> None:
    assert decide({**answers, "stability": "often"}).verdict not in TRAINING


@given(_any_answers())
@settings(max_examples=100)
def test_the_json_is_plain_and_complete(answers: Answers) -> None:
    document = json.loads(json.dumps(decide(answers).to_json(), allow_nan=False))
    assert {"verdict", "reasons", "against", "next_steps", "contradictions", "would_change"} <= set(document)
    assert all(isinstance(reason, str) for reason in document["reasons"] + document["against"])


@given(_asked_answers())
@settings(max_examples=100)
def test_the_adaptive_path_ends_within_twelve_questions(walk: tuple[Answers, int]) -> None:
    answers, asked = walk
    assert asked <= 12
    decide(answers)


@given(_any_answers())
@settings(max_examples=100)
def test_what_would_change_it_names_other_verdicts(answers: Answers) -> None:
    verdict = decide(answers)
    named = [line.rsplit(": ", 1)[1].removesuffix(".") for line in verdict.would_change]
    assert verdict.verdict not in named
    assert set(named) <= set(VERDICTS)
    assert len(set(named)) == len(named)


@given(_any_answers())
@settings(max_examples=100)
def test_leaning_is_sure_once_everything_is_answered(answers: Answers) -> None:
    lean = leaning(answers)
    if "gap" in answers and "examples" in answers:
        assert lean.toward == decide(answers).verdict
    assert lean.so_far


# For each row of the guides' table, answers that describe it and that the wizard really asks for.
REACHES: Mapping[str, Answers] = {
    "lacks_facts": {"gap": "facts", "knowledge": ("private",)},
    "facts_change": {"gap": "facts", "knowledge": ("changing",)},
    "must_cite": {"gap": "facts", "knowledge": ("sources",)},
    "specific_documents": {"gap": "facts", "knowledge": ("documents",)},
    "strict_format": {"gap": "form", "behaviour": ("format",)},
    "domain_language": {"gap": "form", "behaviour": ("language",)},
    "tone": {"gap": "form", "behaviour": ("tone",)},
    "narrow_task": {"gap": "form", "behaviour": ("task",)},
    "refusals": {"gap": "form", "behaviour": ("refusals",)},
    "tool_calls": {"gap": "form", "behaviour": ("tools",)},
    "latency": {"gap": "cost", "limits": ("latency",)},
    "cost_at_scale": {"gap": "cost", "limits": ("huge_volume",)},
    "private_data": {"gap": "form", "privacy": "in_house"},
    "unclear_instructions": {"gap": "form", "behaviour": ("instructions",)},
    "already_good": {"gap": "nothing"},
    "behaviour_changes": {"gap": "form", "examples": "500_to_999", "stability": "often"},
    "under_50": {"gap": "form", "examples": "under_50"},
    "under_1000": {"gap": "form", "examples": "500_to_999"},
    "facts_and_behaviour": {"gap": "both", "knowledge": ("private",), "behaviour": ("format",)},
    "no_gpu": {"gap": "form", "examples": "500_to_999", "hosting": "provider"},
    "best_quality": {"gap": "form", "examples": "10000_or_more", "hosting": "own", "ambition": "best"},
}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.id)
def test_every_row_of_the_table_is_reached_by_answers_the_wizard_asks_for(situation: Situation) -> None:
    answers = REACHES[situation.id]
    assert set(answers) <= {question.id for question in path(answers)}
    assert situation.id in decide(answers).situations


def test_the_table_has_every_row_once() -> None:
    ids = [situation.id for situation in SITUATIONS]
    assert len(ids) == len(set(ids)) == 21
    assert set(ids) == set(REACHES)
    for situation in SITUATIONS:
        assert situation.reason
        assert set(situation.guides) <= set("ABCDE")
        assert not set(situation.supports) & set(situation.opposes)
