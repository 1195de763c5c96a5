"""Rows in one canonical form, whatever file they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

# "unknown": no shape fits, the user has to say which column is what.
Shape = Literal["messages", "sharegpt", "alpaca", "prompt-completion", "text", "preference", "kto", "unknown"]


class Message(TypedDict, total=False):
    """One turn. `role` is system, user, assistant or tool.

    A call in `tool_calls` is {"type": "function", "function": {"name": str, "arguments": {...}}}.
    """

    role: str
    content: str
    tool_calls: list[dict[str, Any]]
    reasoning_content: str
    name: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file. `line` is 1-based; for binary files it is the row number.

    `notes` are what the reader noticed that the values do not show, as (finding id, words).
    """

    file: str
    line: int
    values: Mapping[str, Any]
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place in a file that holds no row. `line` as in RawRow, `excerpt` is sanitised."""

    file: str
    line: int
    what: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that was read but cannot be learned from. `id` is the id of the finding it counts towards.

    `field` is the column to blame, where it is one.
    """

    id: str
    file: str
    line: int
    what: str
    excerpt: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row the model can learn from.

    `messages` for conversations (SFT), `text` for plain text (CPT), `messages` + `chosen` +
    `rejected` for preferences, `messages` + `label` for KTO. `id` is a content hash, stable over
    re-ordering of the file.
    """

    id: str
    file: str
    line: int
    messages: tuple[Message, ...] = ()
    text: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    label: bool | None = None
    tools: tuple[dict[str, Any], ...] = ()

    @property
    def dialogue(self) -> tuple[Message, ...]:
        """The conversation with its answer: for a preference pair the chosen one is its last turn."""
        if self.chosen is None:
            return self.messages
        return (*self.messages, Message(role="assistant", content=self.chosen))

    @property
    def answer(self) -> str:
        """The last assistant turn, the thing that is learned and compared; "" when there is none."""
        turns = self.dialogue
        return turns[-1].get("content", "") if turns and turns[-1]["role"] == "assistant" else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or notable in the data. `id` is stable and can be put into `[data] ignore`."""

    id: str
    severity: Literal["info", "warning", "error"]
    count: int
    what: str  # one sentence
    why: str  # why it hurts
    fix: str
    examples: tuple[Example, ...] = ()
    ignored: bool = False  # its id is in `[data] ignore`: shown, but it does not block

    @property
    def blocks(self) -> bool:
        """True when training must not start before this is mended or accepted."""
        return self.severity == "error" and not self.ignored


@dataclass(frozen=True, slots=True)
class Example:
    """Where a finding was seen, with a short sanitised excerpt.

    `field` is the column, where it is one; `offset` the 0-based byte where a line says too little.
    """

    file: str
    line: int
    excerpt: str = ""
    field: str = ""
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column plays which part, e.g. {"prompt": "question", "completion": "answer"}.

    `preview` is what the first row that fits has in each part, as short sanitised excerpts; for an unknown
    shape it is by column.
    """

    shape: Shape
    columns: Mapping[str, str]
    confident: bool  # False: guessed from names, the user should look
    preview: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token lengths of the usable rows with the model's own tokenizer and template, before any cut."""

    lengths: tuple[int, ...]  # one per usable row, in row order
    answer_tokens: int  # tokens that are learned from, over all rows
    total_tokens: int

    def percentile(self, share: float) -> int:
        """Length that `share` of the rows do not exceed; 0 when there are none."""
        if not self.lengths:
            return 0
        ordered = sorted(self.lengths)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def cut_at(self, limit: int) -> int:
        """How many rows are longer than `limit`."""
        return sum(length > limit for length in self.lengths)


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """Rows per part after the deterministic split."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What is in the data and what would be trained on."""

    paths: tuple[str, ...]
    rows: int
    usable_rows: int
    mapping: ColumnMapping
    findings: tuple[Finding, ...]
    sizes: SplitSizes
    lengths: Lengths | None  # None without a tokenizer
    answers_look_like: Literal["json", "label", "short", "long", "none"]
    median_answer_characters: int
    columns: tuple[str, ...] = ()  # every column seen, for a mapping that is corrected by hand
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # rows by label and side
    answer_labels: Mapping[str, int] = field(default_factory=dict)  # rows by answer, when answers are labels
    schema: Mapping[str, Any] | None = None  # what JSON answers have in common, see `JsonAnswers.schema`

    @property
    def blocked(self) -> bool:
        """True when training must not start before something is mended or accepted."""
        return any(finding.blocks for finding in self.findings)
