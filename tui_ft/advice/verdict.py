"""From answers to a verdict. Pure; the order of the tests below is the order of the guides' advice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tui_ft.advice.outcomes import OUTCOMES, Outcome
from tui_ft.advice.questions import Answers, chosen, path, question
from tui_ft.advice.reading import Reading, contradictions, matching, read
from tui_ft.advice.situations import SHIP_RULE, TRAINING, VerdictName


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence, and the guides it comes from (empty: our own conclusion from the answers)."""

    text: str
    guides: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.guides:
            return self.text
        return f"{self.text} ({'guide' if len(self.guides) == 1 else 'guides'} {', '.join(self.guides)})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checklist advises. `reasons` is never empty and starts with the one that decided."""

    verdict: VerdictName
    headline: str
    reasons: tuple[Reason, ...]
    against: tuple[Reason, ...]
    contradictions: tuple[str, ...]
    would_change: tuple[str, ...]
    tried: tuple[str, ...]
    not_tried: tuple[str, ...]
    next_steps: tuple[str, ...]
    situations: tuple[str, ...]  # ids of the rows of the guides' table that describe this case
    unanswered: tuple[str, ...]  # texts of questions that have a point and have no answer, or "I don't know"

    @property
    def advises_training(self) -> bool:
        """True when the advice is to train a model, here or at a provider."""
        return self.verdict in TRAINING

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json`; reasons are sentences with their guides in brackets."""
        return {
            "verdict": self.verdict,
            "headline": self.headline,
            "advises_training": self.advises_training,
            "reasons": [str(reason) for reason in self.reasons],
            "against": [str(reason) for reason in self.against],
            "contradictions": list(self.contradictions),
            "would_change": list(self.would_change),
            "tried": list(self.tried),
            "not_tried": list(self.not_tried),
            "next_steps": list(self.next_steps),
            "situations": list(self.situations),
            "unanswered": list(self.unanswered),
        }


@dataclass(frozen=True, slots=True)
class Leaning:
    """Where unfinished answers point. `toward` is None before the first answer that says anything."""

    toward: VerdictName | None
    because: str
    missing: tuple[str, ...]

    @property
    def so_far(self) -> str:
        """`leaning to RAG: facts are looked up, not trained in`, or that nothing is known yet."""
        return f"leaning to {self.toward}: {self.because}" if self.toward else "nothing to go by yet"


def decide(answers: Answers) -> Verdict:
    """The advice for any answers, complete or not, contradictory or not."""
    reading = read(answers)
    outcome = _outcome(reading)
    situations = matching(reading)
    return Verdict(
        verdict=outcome.verdict,
        headline=outcome.headline,
        reasons=(
            Reason(outcome.reason, outcome.guides),
            *(
                Reason(f"{row.situation}. {row.reason}", row.guides)
                for row in situations
                if outcome.verdict in row.supports
            ),
        ),
        against=(
            *(
                Reason(f"{row.situation}. {row.reason}", row.guides)
                for row in situations
                if outcome.verdict in row.opposes
            ),
            *_doubts(reading, outcome),
        ),
        contradictions=contradictions(reading),
        would_change=_would_change(answers, outcome),
        tried=_labels("tried", reading.tried),
        not_tried=_labels("tried", _worth_trying(reading) - reading.tried),
        next_steps=_next_steps(reading, outcome),
        situations=tuple(row.id for row in situations),
        unanswered=tuple(q.text for q in path(answers) if chosen(answers, q.id) in ((), ("dont_know",))),
    )


def leaning(answers: Answers) -> Leaning:
    """Where the answers so far point, and what is missing to be sure; for the wizard's footer.

    Questions not asked yet count in favour of training, so that the line says what is being headed for
    and `missing` what may still prevent it.
    """
    ahead = {q.id for q in path(answers)} - set(answers)
    missing = tuple(words for question_id, words in _MISSING.items() if question_id in ahead)
    if not chosen(answers, "gap") and not chosen(answers, "knowledge") and not chosen(answers, "behaviour"):
        return Leaning(None, "", missing)
    hopeful = dict(answers)
    if "examples" not in hopeful:
        hopeful["examples"] = "100_to_499"
    outcome = _outcome(read(hopeful))
    return Leaning(outcome.verdict, outcome.clause, missing)


# The likeliest to turn the advice first: a small screen has room for one or two.
_MISSING = {
    "gap": "what is wrong today",
    "tried": "what you have tried",
    "result": "how good the best try was",
    "examples": "how many good examples you have",
    "behaviour": "what it should do better",
    "knowledge": "which facts it lacks",
    "limits": "limits on time and volume",
    "stability": "how often your wishes change",
    "privacy": "where the data may go",
    "hosting": "who runs the model",
}


def _outcome(r: Reading) -> Outcome:
    """The one end that fits. Facts before form, cheap before dear, data before training."""
    if r.gap == "nothing":
        return OUTCOMES["keep_prompt"]
    if r.result == "good_enough" and r.gap != "cost" and not r.tight:
        return OUTCOMES["keep_retrieval" if r.wants_facts and "rag" in r.tried else "keep_prompt"]
    if r.facts_only:
        return OUTCOMES["mend_retrieval" if "rag" in r.tried else "retrieve"]
    form = _outcome_for_form(r)
    if not r.wants_facts:
        return form
    if form.verdict in TRAINING:
        return OUTCOMES["train_with_retrieval"]
    return form if "rag" in r.tried else OUTCOMES["retrieve_first"]


def _outcome_for_form(r: Reading) -> Outcome:
    if not r.good_already:
        if not r.wants_behaviour:
            return OUTCOMES["find_out"]
        if not r.prompted:
            return OUTCOMES["clearer" if r.only_instructions else "start_with_prompt"]
        if "few_shot" not in r.tried and r.room_for_examples:
            return OUTCOMES["add_examples"]
        if r.only_instructions:
            return OUTCOMES["stronger_model"]
    elif not r.tight:
        return OUTCOMES["lighter_prompt"]
    if r.changes_often:
        return OUTCOMES["too_unsettled"]
    if not r.counted_examples:
        return OUTCOMES["count_examples"]
    if r.examples == "under_50":
        return OUTCOMES["collect"]
    if r.too_few_for_the_task:
        return OUTCOMES["collect_more"]
    return _training(r)


def _training(r: Reading) -> Outcome:
    provider = r.hosting == "provider" and r.privacy != "in_house"
    if provider and not (r.good_already and "huge_volume" in r.limits):
        return OUTCOMES["train_at_provider"]
    if r.tight and (r.good_already or r.limits != {"some_volume"}):
        return OUTCOMES["train_small"]
    full = r.ambition == "best" and r.examples == "10000_or_more"
    return OUTCOMES["train_fully" if full else "train"]


def _worth_trying(r: Reading) -> frozenset[str]:
    """The cheaper ways that apply to this case."""
    if r.gap == "nothing":
        return frozenset()
    ways = {"instructions", "system"} | ({"few_shot"} if r.room_for_examples else set())
    return frozenset(ways | ({"rag"} if r.wants_facts else set()))


def _labels(question_id: str, values: frozenset[str]) -> tuple[str, ...]:
    asked = question(question_id)
    return tuple(asked.label(value) for value in asked.values if value in values)


def _doubts(r: Reading, outcome: Outcome) -> tuple[Reason, ...]:
    """What speaks against the advice beyond the guides' table."""
    trains = outcome.verdict in TRAINING
    doubts = (
        (trains and r.result == "close", "You are close already; there is less to win than it seems.", ()),
        (
            trains and r.prompted and not r.result,
            "How good your best prompt is has not been counted, so nobody can say what training would add.",
            (),
        ),
        (
            trains and r.examples in ("50_to_99", "100_to_499"),
            "Below 200 examples a model easily learns them by heart; watch the validation loss.",
            ("C",),
        ),
        (
            trains and r.measure == "no_way",
            "There is no way yet to see whether the tuned model is better. Make one before you train.",
            ("D",),
        ),
        (
            trains and "training" in r.tried,
            (
                "Fine-tuning was tried before. Read 50 of those rows first; the cause is "
                "more often the data than the settings."
            ),
            (),
        ),
        (
            trains and "format" in r.behaviour,
            (
                "Many servers can force valid JSON by a schema. That mends the syntax "
                "without training, though not the content."
            ),
            (),
        ),
        (
            trains and r.limits == {"some_volume"},
            (
                "Below 10 million calls a day a small model of your own may not "
                "pay for its GPU. Do the sum first."
            ),
            ("D", "E"),
        ),
        (
            outcome.id == "train_at_provider" and "refusals" in r.behaviour,
            "Providers check training data against their own rules and may reject rows about refusals.",
            (),
        ),
        (
            outcome.id == "train_at_provider" and "latency" in r.limits,
            "A call over the network to a provider rarely comes back in under 100 ms.",
            (),
        ),
        (
            outcome.verdict == "RAG" and r.gap == "facts" and r.tried == {"training"},
            "You have trained on facts before; that effort cannot be carried over.",
            (),
        ),
    )
    return tuple(Reason(text, guides) for holds, text, guides in doubts if holds)


def _next_steps(r: Reading, outcome: Outcome) -> tuple[str, ...]:
    steps = list(outcome.steps)
    if "format" in r.behaviour and outcome.id in ("start_with_prompt", "add_examples"):
        steps.append("If your server can force JSON by a schema, switch that on; it settles the syntax.")
    if r.privacy == "in_house":
        steps.append("Use a model with open weights on your own machine for all of this, trials included.")
    if r.hosting == "provider" and outcome.id == "train_with_retrieval" and r.privacy != "in_house":
        steps.append("Ask the provider whether it can train and serve the model, so that you need no GPU.")
    if outcome.verdict in TRAINING:
        steps.append(SHIP_RULE)
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class _WhatIf:
    """A change of circumstances: the clause that describes it, and the answers it would bring."""

    clause: str
    changes: Mapping[str, str | tuple[str, ...]]
    open: Callable[[Reading], bool] = lambda _: True  # False where the clause would make no sense


_PROMPT_FAILED: dict[str, str | tuple[str, ...]] = {
    "tried": ("instructions", "few_shot"),
    "result": "not_enough",
}
_READY: dict[str, str | tuple[str, ...]] = {
    **_PROMPT_FAILED,
    "behaviour": ("format",),
    "examples": "500_to_999",
    "stability": "stable",
}
_WHAT_IFS: tuple[_WhatIf, ...] = (
    _WhatIf("there were 500 good examples", {"examples": "500_to_999"}),
    _WhatIf("there were fewer than 50 good examples", {"examples": "under_50"}),
    _WhatIf("a better prompt turned out good enough", {"tried": ("few_shot",), "result": "good_enough"}),
    _WhatIf("a good prompt were not enough", {"tried": ("instructions",), "result": "not_enough"}),
    _WhatIf("examples in the prompt were not enough either", _PROMPT_FAILED),
    _WhatIf("your wishes changed every month", {"stability": "often"}),
    _WhatIf("your wishes stayed the same for a year", {"stability": "stable"}),
    _WhatIf("it also lacked facts", {"gap": "both", "knowledge": ("private",)}, lambda r: not r.wants_facts),
    _WhatIf("only facts were missing", {"gap": "facts"}),
    _WhatIf("answers had to come in under 100 ms", {"limits": ("latency",)}),
    _WhatIf("there were 10 million calls a day", {"limits": ("huge_volume",)}),
    _WhatIf("there were no limit on time, prompt or volume", {"limits": ("none",)}),
    _WhatIf("nobody wanted to run a GPU", {"hosting": "provider"}),
    _WhatIf("you ran the model yourselves", {"hosting": "own"}),
    _WhatIf(
        (
            "facts were right, but the format stayed wrong with examples in the "
            "prompt, and you had 500 good ones"
        ),
        {**_READY, "gap": "form", "knowledge": ("none",)},
    ),
    _WhatIf(
        "the form were wrong as well, examples in the prompt did not mend it, and you had 500 good ones",
        {**_READY, "gap": "both"},
        lambda r: r.wants_facts,
    ),
)
_MOST_WHAT_IFS = 4


def _would_change(answers: Answers, outcome: Outcome) -> tuple[str, ...]:
    """What would lead to another verdict, found by asking again with those answers; the likeliest first."""
    lines: list[str] = []
    seen = {outcome.verdict}
    reading = read(answers)
    for what_if in _WHAT_IFS:
        changed = {**answers, **what_if.changes}
        if "tried" in what_if.changes:
            changed["tried"] = (*reading.tried, *chosen(what_if.changes, "tried"))
        other = _outcome(read(changed)).verdict
        if other not in seen and what_if.open(reading):
            seen.add(other)
            lines.append(f"If {what_if.clause}: {other}.")
    return tuple(lines[:_MOST_WHAT_IFS])
