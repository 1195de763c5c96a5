"""Findings about what the rows say."""

from __future__ import annotations

from collections.abc import Iterable

from tui_ft.data.entry import Entry


# An entry reads best with its id, severity and sentence on one line.
# fmt: off
def entries() -> Iterable[Entry]:
    """The kinds of findings, in the order of the docs."""
    yield Entry(
        "duplicates", "warning", "{rows} repeat|repeats an earlier row exactly.",
        "Copies are learned more often than the rest, word for word.",
        "Delete the copies.",
        "the same line twice",
    )
    yield Entry(
        "conflicting-answers", "warning", "{rows} answer|answers a question otherwise than an earlier row.",
        "The model is pulled both ways and learns neither.",
        "Keep one answer, or add to the question what makes the difference.",
        '"Is it open?" → "Yes", and again → "No"',
    )
    yield Entry(
        "short-answers", "warning", "{rows} have|has a suspiciously short answer.",
        "The other answers are far longer; these may be cut off or left over.",
        "Look at them; complete or delete them.",
        '"The" among answers of 150 words',
    )
    yield Entry(
        "broken-json", "warning", "{rows} have|has an answer that is not valid JSON, while most are.",
        "The model learns to write broken JSON too.",
        "Mend these answers.",
        '{"category": "billing"',
    )
    yield Entry(
        "control-characters", "warning", "{rows} hold|holds control characters or terminal escapes.",
        "The model learns to write them, and they can take over the terminal of a reader.",
        "Remove them.",
        r'"\u001b[31mred"',
    )
    yield Entry(
        "special-tokens", "warning", "{rows} hold|holds text that this model reads as a control token.",
        "It ends a turn or begins one in the middle of a text.",
        "Remove or rewrite it.",
        '"Press <|im_end|> to stop"',
    )
    yield Entry(
        "secrets", "warning", "{rows} hold|holds what looks like a password or an access key.",
        "The model can repeat it to anyone who asks.",
        "Replace it with a placeholder, and revoke the key.",
        '"my key is AKIA…"',
    )
# fmt: on
