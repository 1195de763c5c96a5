"""The demo's tickets: valid answers, consistent labels, and nothing shared between the splits."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

DEMO = Path(__file__).parents[2] / "recipes" / "demo"
SPLITS = ("train", "validation", "test")
SCHEMA = json.loads((DEMO / "schema.json").read_text(encoding="utf-8"))
NAMES = {
    "camera": r"cam(era)?s?",
    "doorbell": r"doorbells?",
    "lamp": r"lamps?|bulbs?|light strips?",
    "lock": r"locks?|deadbolt|keypad|fingerprint reader",
    "speaker": r"speakers?",
    "thermostat": r"thermostats?",
}


@dataclass(frozen=True)
class Ticket:
    text: str
    answer: str
    system: str

    @property
    def labels(self) -> dict[str, Any]:
        labels: dict[str, Any] = json.loads(self.answer)
        return labels

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(re.findall(r"[a-z0-9']+", self.text.lower()))


def _tickets(split: str) -> list[Ticket]:
    tickets = []
    for line in (DEMO / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert set(row) == {"messages"}
        system, user, assistant = row["messages"]
        assert [m["role"] for m in (system, user, assistant)] == ["system", "user", "assistant"]
        tickets.append(Ticket(user["content"], assistant["content"], system["content"]))
    return tickets


TICKETS = {split: _tickets(split) for split in SPLITS}
ALL = [ticket for split in SPLITS for ticket in TICKETS[split]]


def test_there_are_a_few_hundred() -> None:
    assert 400 <= len(TICKETS["train"]) <= 450
    assert len(TICKETS["validation"]) == 50
    assert len(TICKETS["test"]) == 60


def test_every_answer_obeys_the_schema_in_one_compact_form() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for ticket in ALL:
        validator.validate(ticket.labels)
        assert ticket.answer == json.dumps(ticket.labels, separators=(",", ":"))
        assert list(ticket.labels) == SCHEMA["required"]


def test_the_schema_is_strict() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    good = TICKETS["train"][0].labels
    assert not validator.is_valid({**good, "extra": 1})
    assert not validator.is_valid({**good, "category": "misc"})
    assert not validator.is_valid({key: good[key] for key in ("category", "product")})


def test_the_system_prompt_is_the_same_everywhere() -> None:
    assert len({ticket.system for ticket in ALL}) == 1


def test_no_ticket_stands_twice() -> None:
    assert [words for words, count in Counter(ticket.words for ticket in ALL).items() if count > 1] == []


def _five_grams(split: str) -> set[tuple[str, ...]]:
    return {t.words[i : i + 5] for t in TICKETS[split] for i in range(len(t.words) - 4)}


def _sentences(split: str) -> set[str]:
    parts = (part for t in TICKETS[split] for part in re.split(r"[.!?\n]+", t.text.lower()))
    return {" ".join(re.findall(r"[a-z']+", part)) for part in parts} - {""}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SPLITS, 2)))
def test_no_wording_is_shared_between_splits(one: str, other: str) -> None:
    assert _five_grams(one) & _five_grams(other) == set()
    shared = {sentence for sentence in _sentences(one) & _sentences(other) if len(sentence.split()) > 3}
    assert shared == set()


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SPLITS, 2)))
def test_no_ticket_is_another_one_with_changed_words(one: str, other: str) -> None:
    for a, b in itertools.product(TICKETS[one], TICKETS[other]):
        left, right = set(a.words), set(b.words)
        assert len(left & right) / len(left | right) < 0.5, (a.text, b.text)


def test_tickets_are_no_filled_in_forms() -> None:
    for length, most in ((4, 6), (6, 2)):
        grams = Counter(t.words[i : i + length] for t in ALL for i in range(len(t.words) - length + 1))
        assert max(grams.values()) <= most, grams.most_common(3)


def test_tickets_are_short_and_of_varied_length() -> None:
    lengths = sorted(len(ticket.words) for ticket in ALL)
    assert lengths[0] >= 3
    assert lengths[-1] <= 40
    assert lengths[len(lengths) * 9 // 10] >= 2 * lengths[len(lengths) // 10]


@pytest.mark.parametrize("split", SPLITS)
def test_no_label_dominates(split: str) -> None:
    tickets = TICKETS[split]
    for field, share in (("category", 0.25), ("priority", 0.5), ("product", 0.6)):
        counts = Counter(ticket.labels[field] for ticket in tickets)
        assert set(counts) == set(SCHEMA["properties"][field]["enum"])
        assert max(counts.values()) <= share * len(tickets)
    every_answer = Counter(ticket.answer for ticket in tickets)
    assert max(every_answer.values()) <= 0.12 * len(tickets)


def test_the_product_is_one_that_is_named() -> None:
    for ticket in ALL:
        named = {name for name, words in NAMES.items() if re.search(rf"\b({words})\b", ticket.text, re.I)}
        product = ticket.labels["product"]
        assert product in named if named else product is None, ticket.text


def test_questions_and_returns_are_rarely_medium() -> None:
    """The labelling rule: nothing has gone wrong there, unless the ticket says so."""
    quiet = [ticket.labels["priority"] for ticket in ALL if ticket.labels["category"] == "question"]
    assert quiet.count("low") > 0.7 * len(quiet)
    faults = [ticket.labels["priority"] for ticket in ALL if ticket.labels["category"] == "defect"]
    assert "low" not in faults
