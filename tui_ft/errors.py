"""The errors a user can meet. Each says what happened, where, and what to do next.

TuiFtError                 exit code
  InputError               2   a path, file, key, answer or flag is wrong
  EnvironmentProblem       3   this machine cannot do it: disk, driver, package, network, permission
  RunFailed                4   training, evaluation or export started and failed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells the shell."""

    DONE = 0
    ANSWER_IS_NO = 1
    BAD_INPUT = 2
    CANNOT_HERE = 3
    RUN_FAILED = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `where` is `file:line`, a recipe key or a row; `fix` is an instruction."""

    what: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.fix}" if self.fix else head


class TuiFtError(Exception):
    """Base of all errors shown to a user. Holds every problem found, not only the first."""

    exit_code = ExitCode.RUN_FAILED

    def __init__(self, what: str | Sequence[Problem], *, where: str = "", fix: str = "") -> None:
        self.problems: tuple[Problem, ...] = (
            (Problem(what, where, fix),) if isinstance(what, str) else tuple(what)
        )
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def what(self) -> str:
        """The first problem in one sentence."""
        return self.problems[0].what

    @property
    def fix(self) -> str:
        """What to do about the first problem."""
        return self.problems[0].fix


class InputError(TuiFtError):
    """Something the user gave is wrong: a path, a file, a key, an answer, a flag."""

    exit_code = ExitCode.BAD_INPUT


class EnvironmentProblem(TuiFtError):
    """The machine cannot do this: no disk, no driver, no package, no network, no permission."""

    exit_code = ExitCode.CANNOT_HERE


class DiskFull(EnvironmentProblem):
    """There is no room left where something had to be written, or a quota is used up."""


class RunFailed(TuiFtError):
    """A run, an evaluation or an export started and did not reach its end."""

    exit_code = ExitCode.RUN_FAILED
