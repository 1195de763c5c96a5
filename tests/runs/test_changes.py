"""The journal of settings changed in a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_plan import RECIPE
from tui_ft import recipe as recipes
from tui_ft.errors import InputError
from tui_ft.runs import changes
from tui_ft.runs.changes import Change
from tui_ft.runs.folder import RunFolder

RATE, EVERY = "train.learning_rate", "train.eval_every"
SOME = st.lists(
    st.builds(
        Change,
        st.integers(0, 50),
        st.dictionaries(st.sampled_from([RATE, EVERY]), st.integers(1, 9), min_size=1),
    ),
    max_size=8,
)


def test_what_was_written_is_read_and_torn_lines_are_passed_over(run: RunFolder) -> None:
    assert changes.read(run) == ()
    first, second = Change(3, {RATE: 1e-4}), Change(9, {EVERY: 5}, rollback=True)
    changes.append(run, first)
    with changes.journal(run).open("ab") as file:
        file.write(b'{"step": 4, "val')
    changes.append(run, second)
    assert changes.read(run) == (first, second)
    with changes.journal(run).open("ab") as file:
        file.write(b'{"step": "x", "values": {}}\n[]\n' + b"[" * 100_000)
    assert changes.read(run) == (first, second)


def test_a_change_counts_from_its_step_on() -> None:
    made = (Change(5, {RATE: 1e-3}), Change(9, {RATE: 1e-4, EVERY: 7}))
    assert changes.at(made, 4) == {}
    assert changes.at(made, 5) == {RATE: 1e-3}
    assert changes.at(made, 9) == {RATE: 1e-4, EVERY: 7}


def test_after_a_rollback_later_rates_are_gone_and_later_intervals_are_not() -> None:
    asked = (
        Change(5, {RATE: 1e-3}),
        Change(9, {RATE: 4e-3, EVERY: 7}),
        Change(6, {RATE: 2e-3}, rollback=True),
    )
    made = changes.in_force(asked)
    assert changes.at(made, 5) == {RATE: 1e-3}
    assert changes.at(made, 20) == {RATE: 2e-3, EVERY: 7}
    assert changes.rollbacks(asked) == 1


@given(SOME)
def test_what_was_asked_for_last_counts_from_its_step_on(asked: list[Change]) -> None:
    made = changes.in_force(asked)
    assert [change.step for change in made] == sorted(change.step for change in made)
    if asked:
        last = asked[-1]
        for step in (last.step, last.step + 1, 1000):
            found = changes.at(made, step)
            assert {key: found[key] for key in last.values} == last.values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("train.learning_rate=2", "less than or equal to 1"),
        ("train.learning_rate=0", "greater than 0"),
        ("train.learning_rate=nan", "finite"),
        ("train.learning_rate=", "needs a value"),
        ("train.learning_rat=1e-4", "Did you mean train.learning_rate"),
        ("train.eval_every=0", "whole number of steps"),
        ("train.eval_every=auto", "whole number of steps"),
        ("train.eval_every=1.5", "whole number of steps"),
        ("method.rank=8", "cannot be changed in a run"),
        ("limits.deadline=tomorrow", "limits.deadline"),
        ("train.learning_rate", "has no value"),
    ],
)
def test_what_cannot_be_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        changes.from_texts(recipes.loads(RECIPE), [text])


def test_texts_become_values() -> None:
    values = changes.from_texts(
        recipes.loads(RECIPE), ["train.learning_rate=1e-4", "train.eval_every = 20", "limits.deadline=6h"]
    )
    assert values == {"train.learning_rate": 1e-4, "train.eval_every": 20, "limits.deadline": "6h"}
    assert (
        changes.words(values) == "train.learning_rate = 0.0001, train.eval_every = 20, limits.deadline = 6h"
    )
