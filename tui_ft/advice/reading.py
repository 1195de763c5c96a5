"""What the answers mean together: the distinctions the verdict rests on, and where answers disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui_ft.advice.questions import DONT_KNOW, NONE, Answers, chosen, chosen_kinds
from tui_ft.advice.situations import SITUATIONS, Situation

_PROMPTED = frozenset({"instructions", "system", "few_shot"})
_TIGHT = frozenset({"latency", "prompt_room", "huge_volume", "some_volume"})


@dataclass(frozen=True, slots=True)
class Reading:
    """The answers with skipped and unknown made alike: single choices are "" then, multiple ones empty."""

    gap: str
    knowledge: frozenset[str]
    behaviour: frozenset[str]
    tried: frozenset[str]
    result: str
    limits: frozenset[str]
    examples: str
    stability: str
    privacy: str
    hosting: str
    ambition: str
    measure: str
    said_none: frozenset[str]  # ids of questions answered with "none of these" or "nothing yet"
    unsure_beside: frozenset[str]  # ids of questions where "I don't know" stands beside other answers

    @property
    def wants_facts(self) -> bool:
        """Knowledge is missing."""
        return self.gap in ("facts", "both") or (self.gap != "nothing" and bool(self.knowledge))

    @property
    def wants_behaviour(self) -> bool:
        """The way of answering is wrong, and something about it can be named."""
        if self.gap in ("facts", "nothing"):
            return False
        unnamed = self.gap in ("form", "both") and "behaviour" not in self.said_none
        return unnamed or bool(self.behaviour)

    @property
    def facts_only(self) -> bool:
        """Knowledge is missing and nothing else is: never a reason to train."""
        return self.gap == "facts" or (self.gap != "cost" and self.wants_facts and not self.wants_behaviour)

    @property
    def only_instructions(self) -> bool:
        """Clearer instructions are all that is asked for."""
        return self.behaviour == {"instructions"} and not self.good_already

    @property
    def good_already(self) -> bool:
        """Quality is reached without training; what may be left is cost or speed."""
        return self.gap in ("cost", "nothing") or self.result == "good_enough"

    @property
    def prompted(self) -> bool:
        """Some prompt was tried in earnest."""
        return bool(self.tried & _PROMPTED)

    @property
    def room_for_examples(self) -> bool:
        """Examples fit into the prompt and into the time an answer may take."""
        return not self.limits & {"latency", "prompt_room"}

    @property
    def tight(self) -> bool:
        """Speed, prompt length or volume speak for a small model."""
        return bool(self.limits & _TIGHT)

    @property
    def changes_often(self) -> bool:
        """What a good answer looks like changes every month or more often."""
        return self.stability == "often"

    @property
    def counted_examples(self) -> bool:
        """The number of good examples is known."""
        return self.examples != ""

    @property
    def too_few_for_the_task(self) -> bool:
        """50 to 99 examples, and something harder to learn than a format or a tone."""
        easy = bool(self.behaviour & {"format", "tone"}) and not self.good_already
        return self.examples == "50_to_99" and not easy


def read(answers: Answers) -> Reading:
    """The reading of any answers, complete or not."""

    def one(question_id: str) -> str:
        values = chosen(answers, question_id)
        return values[0] if values and values[0] != DONT_KNOW else ""

    return Reading(
        gap=one("gap"),
        knowledge=chosen_kinds(answers, "knowledge"),
        behaviour=chosen_kinds(answers, "behaviour"),
        tried=chosen_kinds(answers, "tried"),
        result=one("result"),
        limits=chosen_kinds(answers, "limits"),
        examples=one("examples"),
        stability=one("stability"),
        privacy=one("privacy"),
        hosting=one("hosting"),
        ambition=one("ambition"),
        measure=one("measure"),
        said_none=frozenset(key for key in answers if NONE in chosen(answers, key)),
        unsure_beside=frozenset(
            key for key in answers if DONT_KNOW in chosen(answers, key) and len(chosen(answers, key)) > 1
        ),
    )


_HOLDS: dict[str, Callable[[Reading], bool]] = {
    "lacks_facts": lambda r: r.wants_facts and (not r.knowledge or "private" in r.knowledge),
    "facts_change": lambda r: "changing" in r.knowledge,
    "must_cite": lambda r: "sources" in r.knowledge,
    "specific_documents": lambda r: "documents" in r.knowledge,
    "strict_format": lambda r: "format" in r.behaviour,
    "domain_language": lambda r: "language" in r.behaviour,
    "tone": lambda r: "tone" in r.behaviour,
    "narrow_task": lambda r: "task" in r.behaviour,
    "refusals": lambda r: "refusals" in r.behaviour,
    "tool_calls": lambda r: "tools" in r.behaviour,
    "latency": lambda r: not r.room_for_examples,
    "cost_at_scale": lambda r: "huge_volume" in r.limits,
    "private_data": lambda r: r.privacy == "in_house",
    "unclear_instructions": lambda r: "instructions" in r.behaviour,
    "already_good": lambda r: r.gap == "nothing" or r.result == "good_enough",
    "behaviour_changes": lambda r: r.changes_often,
    "under_50": lambda r: r.examples == "under_50",
    "under_1000": lambda r: r.examples in ("50_to_99", "100_to_499", "500_to_999"),
    "facts_and_behaviour": lambda r: r.wants_facts and r.wants_behaviour,
    "no_gpu": lambda r: r.hosting == "provider",
    "best_quality": lambda r: r.ambition == "best",
}


def matching(reading: Reading) -> tuple[Situation, ...]:
    """The rows of the guides' table that describe this case, in the table's order."""
    return tuple(situation for situation in SITUATIONS if _HOLDS[situation.id](reading))


_CONTRADICTIONS: tuple[tuple[Callable[[Reading], bool], str], ...] = (
    (
        lambda r: r.gap == "nothing" and bool(r.knowledge | r.behaviour | r.limits),
        "You said nothing is wrong, and also named what should be better. The first answer counts here.",
    ),
    (
        lambda r: r.gap == "facts" and bool(r.behaviour - {"instructions"}),
        "You said only facts are missing, and also named how it should answer differently. Only the facts "
        "count here; if the form is wrong too, answer “both”.",
    ),
    (
        lambda r: r.gap == "form" and bool(r.knowledge),
        "You said the facts are right, and also named facts it lacks. Both count here.",
    ),
    (
        lambda r: r.gap == "cost" and bool(r.knowledge),
        "You said the answers are good, and also named facts they lack. Both count here.",
    ),
    (
        lambda r: r.gap in ("facts", "both") and "knowledge" in r.said_none and not r.knowledge,
        "You said facts are missing, but none of the kinds of facts. The first answer counts here.",
    ),
    (
        lambda r: r.gap in ("form", "both") and "behaviour" in r.said_none and not r.behaviour,
        "You said the form is wrong, but nothing in particular about it. Training needs something to aim at.",
    ),
    (
        lambda r: r.gap == "cost" and "limits" in r.said_none and not r.tight,
        "You said it is too slow or too expensive, but no limit on time, prompt or volume.",
    ),
    (
        lambda r: r.gap in ("facts", "form", "both") and r.result == "good_enough",
        "You said something is wrong with the answers, and also that the best of what you tried is good "
        "enough. The second counts here.",
    ),
    (
        lambda r: r.gap in ("cost", "nothing") and r.result == "not_enough",
        "You said the answers are good, and also that the best of what you tried is not good enough. The "
        "first answer counts here.",
    ),
    (
        lambda r: bool(r.result) and "tried" in r.said_none and not r.tried,
        "You said how good your best try was, and also that nothing was tried.",
    ),
    (
        lambda r: r.only_instructions and "few_shot" in r.tried and r.result == "not_enough",
        "You said clearer instructions might do, and also that prompts with examples were not good enough.",
    ),
    (
        lambda r: r.privacy == "in_house" and r.hosting == "provider",
        "The data must stay in house, but a provider shall run the model. The first counts here, so the "
        "advice is a model of your own.",
    ),
    (
        lambda r: "huge_volume" in r.limits and r.hosting == "provider",
        "At 10 million calls a day a provider's price per token is what hurts most; running a small model "
        "yourself is 10 to 50 times cheaper.",
    ),
    (
        lambda r: "huge_volume" in r.limits and "some_volume" in r.limits,
        "You chose two volumes. The larger one counts here.",
    ),
    (
        lambda r: "latency" in r.limits and r.wants_facts,
        "Retrieval adds 20 to 200 ms, and answers are to come in under 100 ms. One of the two has to give.",
    ),
    (
        lambda r: r.ambition == "best" and bool(r.limits & {"latency", "huge_volume"}),
        (
            "The largest model is also the slowest and dearest; it does not go "
            "with your limits on time or volume."
        ),
    ),
    (
        lambda r: r.ambition == "best" and r.counted_examples and r.examples != "10000_or_more",
        "Training every weight of a large model wants 10,000 examples or more; you have fewer.",
    ),
    (
        lambda r: r.ambition == "best" and r.hosting == "provider",
        "Training every weight of a large model needs GPUs of your own, and you don't want to run any.",
    ),
)


def contradictions(reading: Reading) -> tuple[str, ...]:
    """Answers that don't go together, each in a sentence that says which of them counts."""
    found = [sentence for holds, sentence in _CONTRADICTIONS if holds(reading)]
    others = {
        "knowledge": reading.knowledge,
        "behaviour": reading.behaviour,
        "tried": reading.tried,
        "limits": reading.limits,
    }
    found += [
        f"For “{key}” you chose “none” beside other answers. The other answers count here."
        for key, kinds in others.items()
        if kinds and key in reading.said_none
    ]
    found += [
        f"For “{key}” you chose “I don't know” beside other answers. The other answers count here."
        for key in sorted(reading.unsure_beside)
    ]
    return tuple(found)
