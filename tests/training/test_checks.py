"""What is true of tensors, whatever is trained; the functions are in checks.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.conftest import Workshop, losses

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    "name",
    [
        "head_scores_learned_positions_only",
        "packed_documents_do_not_see_each_other",
        "rows_are_cut_counted_and_left_out",
    ],
)
def test_check(workshop: Workshop, name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = workshop.zygote.ask(check=name, args=[str(workshop.model), str(tmp_path)], log=str(log))
    assert workshop.wait(pid) == 0, log.read_text()


def test_accumulating_is_the_same_as_a_larger_batch(workshop: Workshop) -> None:
    method = {"dropout": 0.0}
    large = workshop.run(method=method, micro_batch=4, grad_accum=1, epochs=2.0)
    small = workshop.run(method=method, micro_batch=1, grad_accum=4, epochs=2.0)
    assert workshop.train(large) == workshop.train(small) == 0
    assert losses(large) == pytest.approx(losses(small), rel=1e-4)
