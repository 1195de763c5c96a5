"""The questions of the checklist, in the order they are asked.

Answers map question ids to one value, or to a tuple of values where several may be chosen. A skipped
question is absent; `dont_know` is an answer to every question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tui_ft.errors import InputError, Problem
from tui_ft.text import excerpt, nearest

Answers = Mapping[str, str | tuple[str, ...]]

DONT_KNOW = "dont_know"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Option:
    """One allowed answer."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `many` allows several options; earlier answers decide by `ask_when` if it has a point."""

    id: str
    text: str
    help: str
    example: str
    options: tuple[Option, ...]
    many: bool = False
    ask_when: Callable[[Answers], bool] = lambda _: True

    @property
    def values(self) -> tuple[str, ...]:
        """The allowed values, `dont_know` last."""
        return tuple(option.value for option in self.options)

    def label(self, value: str) -> str:
        """The words for a value."""
        return next(option.label for option in self.options if option.value == value)


def chosen(answers: Answers, question_id: str) -> tuple[str, ...]:
    """What was chosen, always as a tuple; empty when the question was skipped."""
    value = answers.get(question_id, ())
    return (value,) if isinstance(value, str) else tuple(value)


def chosen_kinds(answers: Answers, question_id: str) -> frozenset[str]:
    """What was chosen, without `none` and `dont_know`."""
    return frozenset(chosen(answers, question_id)) - {NONE, DONT_KNOW}


def _gap_in(*gaps: str) -> Callable[[Answers], bool]:
    """True when the first answer is one of `gaps`; a skipped first answer counts as not known."""
    return lambda answers: (chosen(answers, "gap") or (DONT_KNOW,))[0] in gaps


def _something_is_wrong(answers: Answers) -> bool:
    return not _gap_in("nothing")(answers)


def _something_was_tried(answers: Answers) -> bool:
    return _something_is_wrong(answers) and bool(chosen_kinds(answers, "tried"))


def _prompt_will_do(answers: Answers) -> bool:
    return chosen(answers, "result") == ("good_enough",) and not _gap_in("cost")(answers)


def _training_is_open(answers: Answers) -> bool:
    return _gap_in("form", "both", "cost", DONT_KNOW)(answers) and not _only_instructions(answers)


def _only_instructions(answers: Answers) -> bool:
    return chosen_kinds(answers, "behaviour") == {"instructions"} and not _gap_in("cost")(answers)


def _limits_matter(answers: Answers) -> bool:
    return _training_is_open(answers) or _gap_in("facts")(answers)


def _examples_matter(answers: Answers) -> bool:
    return _training_is_open(answers) and not (
        _prompt_will_do(answers) and not chosen_kinds(answers, "limits")
    )


def _enough_examples(answers: Answers) -> bool:
    return _examples_matter(answers) and chosen(answers, "examples") != ("under_50",)


def _training_is_likely(answers: Answers) -> bool:
    return _enough_examples(answers) and chosen(answers, "stability") != ("often",)


_DONT_KNOW = Option(DONT_KNOW, "I don't know")

QUESTIONS: tuple[Question, ...] = (
    Question(
        "gap",
        "What is wrong with the answers you get today?",
        "Facts are best looked up when the question comes (retrieval). Form is what training changes.",
        '"Answers are right but never valid JSON" is about form.',
        (
            Option("facts", "They lack facts: our documents, prices, recent events"),
            Option("form", "The facts are right, the form is wrong: format, tone, length, task"),
            Option("both", "Both"),
            Option("cost", "They are good, but too slow or too expensive"),
            Option("nothing", "Nothing, they are good enough"),
            _DONT_KNOW,
        ),
    ),
    Question(
        "knowledge",
        "What does it need to know that it doesn't?",
        (
            "Whatever must be known, and whatever changes, is looked up rather "
            "than trained. Choose all that apply."
        ),
        '"Our price list changes every Monday" is the second.',
        (
            Option("private", "Our own products, documents, or recent events"),
            Option("changing", "Facts that change every week or more often"),
            Option("sources", "Where each answer comes from: sources must be named"),
            Option("documents", "What particular documents say"),
            Option(NONE, "None of these"),
            _DONT_KNOW,
        ),
        many=True,
        ask_when=_gap_in("facts", "both", DONT_KNOW),
    ),
    Question(
        "behaviour",
        "What should it do that it doesn't do well?",
        "This decides whether training helps at all, and how many examples it takes. Choose all that apply.",
        '"Sort each mail into one of nine folders" is one task in one field.',
        (
            Option("format", "Keep to a strict format: JSON, exact fields"),
            Option("tone", "Be shorter, more formal, or speak in our voice"),
            Option("task", "One task in one field: sort, route, extract, summarise"),
            Option("language", "Use the terms or the reasoning of our field"),
            Option("tools", "Call functions in the right way"),
            Option("refusals", "Refuse the right things, and only those"),
            Option("instructions", "Understand what I ask; clearer instructions might do"),
            Option(NONE, "None of these"),
            _DONT_KNOW,
        ),
        many=True,
        ask_when=_gap_in("form", "both", "cost", DONT_KNOW),
    ),
    Question(
        "tried",
        "What have you tried so far?",
        "Cheap things come first: a prompt takes an hour, training takes days. Choose all that apply.",
        "Five model answers pasted into the prompt are examples.",
        (
            Option("instructions", "A prompt with clear instructions"),
            Option("system", "A system prompt (standing orders before each talk)"),
            Option("few_shot", "Examples of good answers in the prompt (few-shot)"),
            Option("rag", "Looking up our documents first (retrieval, RAG)"),
            Option("training", "Fine-tuning"),
            Option(NONE, "Nothing yet"),
            _DONT_KNOW,
        ),
        many=True,
        ask_when=_something_is_wrong,
    ),
    Question(
        "result",
        "How good was the best of it?",
        "Count it on 30 real cases if you can; a feeling is often wrong by a lot.",
        '"26 of 30 were right" is close.',
        (
            Option("good_enough", "Good enough to use"),
            Option("close", "Close, but some answers still fail"),
            Option("not_enough", "Not good enough"),
            _DONT_KNOW,
        ),
        ask_when=_something_was_tried,
    ),
    Question(
        "limits",
        "Which limits do you have?",
        (
            "Tight limits speak for a small tuned model, even when a big one "
            "answers well. Choose all that apply."
        ),
        "A voice assistant must answer in under 0.1 seconds.",
        (
            Option("latency", "Answers in under 0.1 seconds"),
            Option("prompt_room", "No room or money for long prompts full of examples"),
            Option("huge_volume", "10 million calls a day or more"),
            Option("some_volume", "100,000 to 10 million calls a day"),
            Option(NONE, "None of these"),
            _DONT_KNOW,
        ),
        many=True,
        ask_when=_limits_matter,
    ),
    Question(
        "examples",
        "How many good examples do you have?",
        "Good: you would be content if the model answered exactly like that. Count only those.",
        "600 tickets, each with the answer your best colleague gave.",
        (
            Option("under_50", "Fewer than 50, or none"),
            Option("50_to_99", "50 to 99"),
            Option("100_to_499", "100 to 499"),
            Option("500_to_999", "500 to 999"),
            Option("1000_to_9999", "1,000 to 9,999"),
            Option("10000_or_more", "10,000 or more"),
            _DONT_KNOW,
        ),
        ask_when=_examples_matter,
    ),
    Question(
        "stability",
        "How often does it change what a good answer looks like?",
        "A prompt is changed in a minute, a tuned model must be trained again.",
        "Rules rewritten by the legal team every two weeks change often.",
        (
            Option("stable", "Hardly ever"),
            Option("sometimes", "A few times a year"),
            Option("often", "Every month or more often"),
            _DONT_KNOW,
        ),
        ask_when=_enough_examples,
    ),
    Question(
        "privacy",
        "May your data leave the house?",
        "If not, everything has to run on machines you control. It costs a GPU, not quality.",
        "Patient records usually may not.",
        (
            Option("in_house", "No, it must stay on our machines"),
            Option("may_leave", "Yes, a provider with a contract is fine"),
            _DONT_KNOW,
        ),
        ask_when=_limits_matter,
    ),
    Question(
        "hosting",
        "Who shall run the model?",
        "A provider charges per token and takes the work; your own GPU costs by the hour, used or not.",
        "A rented GPU box counts as your own.",
        (
            Option("own", "We do, on our own or a rented GPU"),
            Option("provider", "A provider; we have no GPU and don't want one"),
            _DONT_KNOW,
        ),
        ask_when=_training_is_likely,
    ),
    Question(
        "ambition",
        "Is it worth training every weight of a large model?",
        (
            "It needs several large GPUs. Adapters (LoRA) reach about 95 % of the "
            "quality for a tenth of the money."
        ),
        "A product that stands or falls with the last few percent.",
        (
            Option("best", "Yes, the best quality counts and the budget is there"),
            Option("sensible", "No, very good is good enough"),
            _DONT_KNOW,
        ),
        ask_when=lambda answers: (
            _training_is_likely(answers)
            and chosen(answers, "examples") == ("10000_or_more",)
            and chosen(answers, "hosting") != ("provider",)
        ),
    ),
    Question(
        "measure",
        "How will you see whether the tuned model is better?",
        "Without rows it has never seen, nobody can tell. 50 to 100 are enough for a start.",
        "80 tickets set aside, with the right answer beside each.",
        (
            Option("test_rows", "Rows with known good answers, set aside"),
            Option("people", "People compare answers side by side"),
            Option("no_way", "No way yet"),
            _DONT_KNOW,
        ),
        ask_when=_training_is_likely,
    ),
)
_BY_ID = {question.id: question for question in QUESTIONS}


def question(question_id: str) -> Question:
    """The question with this id. Raises KeyError."""
    return _BY_ID[question_id]


def path(answers: Answers) -> tuple[Question, ...]:
    """The questions that have a point given these answers, in order; "3 of 9" is counted from this."""
    return tuple(q for q in QUESTIONS if q.ask_when(answers))


def next_question(answers: Answers, *, skipped: Collection[str] = ()) -> Question | None:
    """The first question on the path that is neither answered nor skipped; None at the end."""
    return next((q for q in path(answers) if q.id not in answers and q.id not in skipped), None)


def parse_answers(given: Mapping[str, Any], *, source: str = "answers") -> Answers:
    """Answers from plain values, as in TOML or JSON; an empty list counts as skipped.

    Raises InputError naming every unknown question and value, with the nearest known one.
    """
    problems: list[Problem] = []
    answers: dict[str, str | tuple[str, ...]] = {}
    for key, value in given.items():
        asked = _BY_ID.get(key)
        where = f"{source}: {excerpt(key)}"
        if asked is None:
            close = nearest(key, _BY_ID)
            hint = f"Did you mean {close[0]}?" if close else f"The questions are {', '.join(_BY_ID)}."
            problems.append(Problem("there is no such question", where, hint))
            continue
        values = value if isinstance(value, list | tuple) else [value]
        wrong = [_value_problem(asked, one, where) for one in values if one not in asked.values]
        problems.extend(wrong)
        if not asked.many and len(values) > 1:
            problems.append(Problem("takes one answer, not several", where, _allowed(asked)))
        elif values and not wrong:
            answers[key] = tuple(dict.fromkeys(values)) if asked.many else values[0]
    if problems:
        raise InputError(problems)
    return answers


def as_document(answers: Answers) -> dict[str, str | list[str]]:
    """The answers as plain TOML or JSON values, for `[decision] answers` of a recipe."""
    return {key: value if isinstance(value, str) else list(value) for key, value in answers.items()}


def _value_problem(asked: Question, value: object, where: str) -> Problem:
    if not isinstance(value, str):
        return Problem(f"should be text, not {excerpt(repr(value))}", where, _allowed(asked))
    close = nearest(value, asked.values)
    hint = f"Did you mean {close[0]}? " if close else ""
    return Problem(f"“{excerpt(value)}” is not one of the answers", where, hint + _allowed(asked))


def _allowed(asked: Question) -> str:
    return f"Allowed: {', '.join(asked.values)}."
