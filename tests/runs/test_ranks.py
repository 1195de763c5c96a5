"""Which rank is dead, stuck or broken, and what people are told."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.sample_plan import make_plan
from tui_ft.files import write_json
from tui_ft.runs import ranks
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.ranks import Rank
from tui_ft.runs.status import process_identity
from tui_ft.runs.view import show_json, view

NOW = 10_000.0


def rank(number: int, **values: object) -> Rank:
    return Rank(**{"rank": number, "pid": 100 + number, "process": "", "time": NOW, **values})  # type: ignore[arg-type]


def test_a_rank_that_is_gone_without_a_word_is_dead() -> None:
    both = (rank(0), rank(1))
    assert ranks.dead(both, {100, 101}) is None
    assert ranks.dead(both, {100}) == both[1]
    assert ranks.dead((rank(0), rank(1, ended=0)), {100}) is None
    assert ranks.died(both[1], -9).what == "rank 1 (pid 101) died: killed by signal 9"
    assert "memory (RAM)" in ranks.died(both[1], -9).fix
    assert ranks.died(both[1], 3).what == "rank 1 (pid 101) ended with code 3"
    assert ranks.died(both[1], None).what == "rank 1 (pid 101) died without a word"


def test_a_silent_rank_is_stuck_and_so_is_the_one_the_others_wait_for() -> None:
    alive = {100, 101}
    assert ranks.stuck((rank(0), rank(1)), alive, NOW + 5) is None
    silent = ranks.stuck((rank(0, time=NOW + 39), rank(1)), alive, NOW + 40)
    assert silent is not None
    assert silent.what == "rank 1 (pid 101) is stuck: not heard of for 40 s"
    waiting = (rank(0, moved=NOW - 2000, marks=8), rank(1, moved=NOW - 2100, marks=7))
    behind = ranks.stuck(waiting, alive, NOW)
    assert behind is not None
    assert behind.what == "rank 1 (pid 101) is stuck: the others wait for it since 2100 s"
    assert ranks.stuck((waiting[0], rank(1, moved=NOW - 1, marks=7)), alive, NOW) is None


def test_the_first_error_counts_and_needs_no_name_when_all_say_it() -> None:
    assert ranks.failed((rank(0), rank(1))) is None
    alone = ranks.failed((rank(0, error="connection closed", time=NOW + 1), rank(1, error="no memory")))
    assert alone is not None
    assert alone.what == "rank 1 (pid 101): no memory"
    alike = ranks.failed((rank(0, error="no rows", time=NOW + 1), rank(1, error="no rows")))
    assert alike is not None
    assert alike.what == "no rows"


def test_a_view_shows_the_ranks_and_leaves_out_what_is_no_rank(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    plan = make_plan().to_json()
    plan["train"]["gpus"] = 2
    write_json(run.plan, plan)
    ranks.folder_of(run).mkdir()
    me = os.getpid()
    ranks.write(run, rank(1, pid=me, process=process_identity(me), time=time.time()))
    ranks.write(run, rank(0, ended=4, error="no rows"))
    (ranks.folder_of(run) / "rank-2").write_text("{half a li")
    shown = show_json(view(run))
    assert shown["together"] == 2
    assert [(one["rank"], one["alive"], one["ended"]) for one in shown["ranks"]] == [
        (0, False, 4),
        (1, True, None),
    ]
