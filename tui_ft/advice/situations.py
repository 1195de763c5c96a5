"""What the guides say about when to fine-tune, as data.

Guides: A pipeline, methods and costs; B instruction tuning and LoRA; C decision framework and
toolchain; D when and how; E production, methods compared. The wording is our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

VerdictName = Literal[
    "improve the prompt",
    "few-shot",
    "RAG",
    "fine-tune",
    "fine-tune + RAG",
    "fine-tune a smaller model",
    "managed API",
    "not yet (collect data)",
]
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)

TRAINING: tuple[VerdictName, ...] = (
    "fine-tune",
    "fine-tune + RAG",
    "fine-tune a smaller model",
    "managed API",
)
"""Verdicts that end in training a model, at home or at a provider."""

_LOCAL: tuple[VerdictName, ...] = ("fine-tune", "fine-tune + RAG", "fine-tune a smaller model")
_PROMPTING: tuple[VerdictName, ...] = ("improve the prompt", "few-shot")
_RETRIEVAL: tuple[VerdictName, ...] = ("RAG", "fine-tune + RAG")
_TRAINING_ALONE: tuple[VerdictName, ...] = ("fine-tune", "fine-tune a smaller model", "managed API")
_WAITING: tuple[VerdictName, ...] = ("not yet (collect data)",)


@dataclass(frozen=True, slots=True)
class Situation:
    """One row of the guides' table. A verdict in neither `supports` nor `opposes` is left untouched by it."""

    id: str
    situation: str
    advice: str
    reason: str
    guides: tuple[str, ...]
    supports: tuple[VerdictName, ...]
    opposes: tuple[VerdictName, ...]


SITUATIONS: tuple[Situation, ...] = (
    Situation(
        "lacks_facts",
        "It needs facts the model has never seen: products, private documents, recent events",
        "RAG",
        "Looking facts up when the question comes is reliable; training does not add facts reliably.",
        ("A", "B", "C", "D"),
        _RETRIEVAL,
        _TRAINING_ALONE,
    ),
    Situation(
        "facts_change",
        "The facts change every week or more often",
        "RAG",
        "An index is updated in minutes, while every retraining costs time and money.",
        ("A", "B", "C"),
        _RETRIEVAL,
        _TRAINING_ALONE,
    ),
    Situation(
        "must_cite",
        "Answers must name their sources",
        "RAG with attribution",
        (
            "Only a looked-up passage can be pointed at; a trained model cannot "
            "say where it knows something from."
        ),
        ("A",),
        _RETRIEVAL,
        _TRAINING_ALONE,
    ),
    Situation(
        "specific_documents",
        "People ask about particular documents",
        "RAG",
        (
            "Training does not store passages that can be quoted back; retrieval "
            "puts them in front of the model."
        ),
        ("B", "D"),
        _RETRIEVAL,
        _TRAINING_ALONE,
    ),
    Situation(
        "strict_format",
        "The knowledge is there, but the format is ignored: strict JSON or exact fields",
        "fine-tune",
        "A fixed form is what training teaches best, and it takes few examples.",
        ("A", "B", "C", "E"),
        (*TRAINING, *_WAITING),
        (*_PROMPTING, "RAG"),
    ),
    Situation(
        "domain_language",
        "It lacks the terms of your field, or its way of reasoning",
        "fine-tune",
        "Vocabulary and lines of thought are habits, and habits are learned from examples.",
        ("A", "B", "C"),
        (*TRAINING, *_WAITING),
        (*_PROMPTING, "RAG"),
    ),
    Situation(
        "tone",
        "Answers are right but too long, too casual or not in your voice",
        "improve the prompt, fine-tune if that fails",
        "Two good sentences of instruction often settle tone (C); one guide (A) would train for it at once.",
        ("A", "C"),
        (*_PROMPTING, *TRAINING, *_WAITING),
        (),
    ),
    Situation(
        "narrow_task",
        "One task in one field: sorting, routing, extracting or summarising",
        "fine-tune",
        "On narrow classes a 7B model with about 1,000 rows can beat a frontier model.",
        ("A", "C"),
        (*TRAINING, *_WAITING),
        (*_PROMPTING, "RAG"),
    ),
    Situation(
        "refusals",
        "It must refuse other things than it does today",
        "fine-tune",
        "Refusing is trained-in behaviour; instructions shift it only a little.",
        ("A", "D"),
        (*TRAINING, *_WAITING),
        (*_PROMPTING, "RAG"),
    ),
    Situation(
        "tool_calls",
        "It must call your functions in the right pattern",
        "fine-tune",
        "Call patterns are a form, and forms are learned from examples.",
        ("D",),
        (*TRAINING, *_WAITING),
        (*_PROMPTING, "RAG"),
    ),
    Situation(
        "latency",
        "Answers are needed in under 100 ms, or long example prompts do not fit",
        "fine-tune a smaller open model",
        "A small tuned model needs no examples in its prompt and answers faster.",
        ("B", "C", "E"),
        ("fine-tune a smaller model",),
        ("few-shot", "RAG", "fine-tune + RAG"),
    ),
    Situation(
        "cost_at_scale",
        "There are 10 million calls a day or more",
        "fine-tune a small model and host it yourself",
        "At that volume a small tuned model is 10 to 50 times cheaper.",
        ("D", "E"),
        ("fine-tune a smaller model",),
        ("managed API", "few-shot"),
    ),
    Situation(
        "private_data",
        "The data must stay in house",
        "fine-tune a local model",
        "A model on your own machine is trained and used without sending anything out.",
        ("B", "E"),
        _LOCAL,
        ("managed API",),
    ),
    Situation(
        "unclear_instructions",
        "It only needs clearer instructions",
        "improve the prompt",
        "A clearer prompt costs an hour and can be undone in a minute.",
        ("B",),
        _PROMPTING,
        TRAINING,
    ),
    Situation(
        "already_good",
        "A prompt already gives what you want",
        "don't fine-tune",
        "Training would cost days and upkeep, and there is little left to win.",
        ("A", "D"),
        (*_PROMPTING, "RAG"),
        ("fine-tune", "fine-tune + RAG", *_WAITING),
    ),
    Situation(
        "behaviour_changes",
        "What you want from it changes often",
        "don't fine-tune",
        "A prompt is changed in a minute; a tuned model has to be trained again.",
        ("A",),
        (*_PROMPTING, "RAG"),
        (*TRAINING, *_WAITING),
    ),
    Situation(
        "under_50",
        "There are fewer than 50 good examples",
        "few-shot prompting instead",
        "So few rows are learned by heart; put the best of them into the prompt.",
        ("A", "B"),
        (*_PROMPTING, "RAG", *_WAITING),
        TRAINING,
    ),
    Situation(
        "under_1000",
        "There are fewer than 1,000 examples",
        "a range: 100 to 500 are enough for format and style (A–C); prompt first and come back with more (E)",
        "The guides disagree: 100 to 500 rows are enough for format and style (A–C), or wait for 1,000 (E).",
        ("A", "B", "C", "E"),
        (),
        TRAINING,
    ),
    Situation(
        "facts_and_behaviour",
        "It needs fresh facts and a steady way of answering",
        "fine-tune + RAG on top",
        "Retrieval brings the facts, training the form; neither replaces the other.",
        ("A", "C"),
        _RETRIEVAL,
        _TRAINING_ALONE,
    ),
    Situation(
        "no_gpu",
        "There is no GPU and no wish to run one; simple operation comes first",
        "a managed fine-tuning API",
        "A provider trains and serves the model, and you pay per token.",
        ("A", "E"),
        ("managed API",),
        _LOCAL,
    ),
    Situation(
        "best_quality",
        "The best quality counts, with the budget and very much data",
        "full fine-tuning of a large model",
        "Training every weight pays off from about 10,000 rows (A, C) or 100,000 (E).",
        ("A", "C", "E"),
        ("fine-tune", "fine-tune + RAG"),
        ("fine-tune a smaller model",),
    ),
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One line of the side-by-side table of the three ways."""

    name: str
    prompting: str
    rag: str
    fine_tuning: str


DIMENSIONS: tuple[Dimension, ...] = (
    Dimension("set-up", "hours", "days to weeks", "days to weeks"),
    Dimension("latency", "that of the model", "20–200 ms more", "lower with a smaller model"),
    Dimension("freshness", "fixed", "real-time", "fixed until retrained"),
    Dimension("consistency", "low", "medium", "high"),
    Dimension("upkeep", "low", "keep the index up to date", "retrain when things drift"),
)

SHIP_RULE = (
    "Compare the tuned model with three baselines on rows it has never seen: the base model with a good "
    "prompt, with examples in the prompt, and with retrieval. Unless it is clearly better than all three, "
    "do not ship it."
)
"""Guide D."""

FIRST_TEST = (
    "Knowledge or behaviour? What the model must know is looked up (RAG). How it must answer is trained. "
    "Try in this order: a better prompt with a few examples (often about 80 % of the quality), a system "
    "prompt, RAG if knowledge is missing, and fine-tuning last."
)
"""Guides A–D."""
