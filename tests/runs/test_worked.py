"""Hours of work are counted from events, not from clocks that somebody sets."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status
from tui_ft.runs.worked import Worked


def test_pauses_between_attempts_and_jumps_of_the_clock_are_no_work() -> None:
    worked = Worked()
    worked.hear(50.0)
    worked.begin(100.0)
    worked.hear(130.0)
    worked.hear(18_130.0)  # five hours ahead
    worked.hear(18_140.0)
    worked.hear(140.0)  # and back
    worked.hear(145.0)
    assert worked.seconds == 30.0 + 10.0 + 5.0
    assert worked.since(150.0) == 5.0
    worked.leave()
    assert worked.since(150.0) == 0.0
    worked.begin(900.0)
    worked.hear(901.0)
    assert worked.seconds == 46.0


def test_silence_is_measured_by_a_clock_that_nobody_sets(run: RunFolder) -> None:
    me = status.process_identity(os.getpid())
    ahead = Status(
        "training", pid=os.getpid(), process=me, heartbeat=time.time() - 18_000, beat=time.monotonic()
    )
    with status.hold(run, "train"):
        status.write(run, ahead)
        assert status.reality(run).silent_s is None
        status.write(run, replace(ahead, heartbeat=time.time() + 18_000, beat=time.monotonic() - 90))
        silent = status.reality(run).silent_s
        assert silent is not None
        assert 90 <= silent < 100
        status.write(run, replace(ahead, process="another-boot/pid:[1]/5"))
        assert (status.reality(run).silent_s or 0) > 17_000
