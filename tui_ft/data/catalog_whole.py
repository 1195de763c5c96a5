"""Findings about the dataset as a whole: its size, and what is held out."""

from __future__ import annotations

from collections.abc import Iterable

from tui_ft.data.entry import Entry


# An entry reads best with its id, severity and sentence on one line.
# fmt: off
def entries() -> Iterable[Entry]:
    """The kinds of findings, in the order of the docs."""
    yield Entry(
        "leakage", "error", "{rows} to train on are|is also in the validation or test file.",
        "Scores on rows the model has seen say nothing about new ones.",
        "Delete them from one of the files.",
        "the same question in train.jsonl and test.jsonl",
    )
    yield Entry(
        "near-leakage", "warning", "{rows} to train on are|is nearly in the validation or test file.",
        "Scores on rows much like those the model has seen promise too much.",
        "Look at them; delete them from one of the files.",
        "the same ticket with another date in train.jsonl and test.jsonl",
    )
    yield Entry(
        "split-siblings", "warning", "{rows} to train on nearly repeat|repeats a row that is held out.",
        "Scores on rows much like those the model has seen promise too much.",
        'Set group_by = "near" in [data], which keeps near duplicates on one side.',
        "the same ticket with another date, once trained on and once tested on",
    )
    yield Entry(
        "too-few-rows", "error", "There are|is {rows} to learn from.",
        "With fewer than 50 the model learns the rows by heart instead of the task.",
        "Collect at least 50, better 200; until then put examples into the prompt.",
        "a file of 10 rows",
    )
    yield Entry(
        "few-rows", "warning", "There are|is {rows} to learn from.",
        "50 to 100 teach a format or a style; below 200 overfitting is a serious risk.",
        "Collect more if you can; watch the validation loss.",
        "a file of 120 rows",
    )
    yield Entry(
        "many-rows", "info", "There are|is {rows} to learn from.",
        "Above 10,000 an adapter gains little from more rows.",
        "Nothing, or set max_rows in [data] to save time.",
        "a file of 50,000 rows",
    )
    yield Entry(
        "mix-share", "warning", "{rows} of general data are|is mixed in, not 5 to 20 %.",
        "The guides mix in 5 to 20 %: less does little against forgetting, more waters down the task.",
        "Set mix_share in [data] between 0.05 and 0.2; for too few rows, use a larger file in mix.",
        "mix_share = 0.5",
    )
    yield Entry(
        "time-unreadable", "warning", "{rows} have|has no time that can be read.",
        "They are trained on, wherever they belong in time.",
        "Write times as 2026-03-31, 2026-03-31T12:00:00Z, or seconds since 1970.",
        'split_by_time = "date" and "date": "last week"',
    )
    yield Entry(
        "group-missing", "warning", "{rows} belong|belongs to no group.",
        "Each stands for itself, so its siblings may be on another side.",
        "Fill in the column that group_by in [data] names.",
        'group_by = "customer" and a row without one',
    )
    yield Entry(
        "label-missing", "warning", "{rows} have|has no label to balance the split by.",
        "They are held out as a group of their own.",
        "Fill in the column that stratify in [data] names.",
        'stratify = "category" and a row without one',
    )
    yield Entry(
        "nothing-held-out", "warning", "No row is held out to validate or to test on.",
        "Overfitting cannot be seen, and nobody can say whether the model got better.",
        "Set validation and test to 0.1 in [data], or name files of your own.",
        "validation = 0 and test = 0",
    )
# fmt: on
