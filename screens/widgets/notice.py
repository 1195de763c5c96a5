"""A calm message: what happened, where, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui_ft.errors import Problem, TuiFtError

from ..ink import BAD, MUTED, STRONG, WARN, hang, ink, prose
from .lines import Lines


class Notice(Lines):
    """Hidden until there is something to say."""

    DEFAULT_CSS = """
    Notice {
        display: none; height: auto; max-height: 60%; padding: 0 1; margin: 0 1; border-left: outer $bad;
    }
    Notice.-warn { border-left: outer $warn; }
    """

    def tell(self, error: TuiFtError) -> None:
        """Show every problem of an error."""
        self.remove_class("-warn")
        self.display = True
        self.show(lambda width: problem_lines(error.problems, width))

    def warn(self, what: str, fix: str = "") -> None:
        """Show something that does not stop the user."""
        self.add_class("-warn")
        self.display = True
        self.show(lambda width: warning_lines(what, fix, width))

    def clear(self) -> None:
        """Nothing to say any more."""
        self.display = False


def problem_lines(problems: Sequence[Problem], width: int) -> list[Content]:
    """Each problem as a headline, its place, and the way out."""
    lines: list[Content] = []
    for problem in problems:
        lines += hang(ink("✗ ", BAD), prose(problem.what[:1].upper() + problem.what[1:], STRONG), width)
        if problem.where:
            lines += hang(ink("  where  ", MUTED), problem.where, width)
        if problem.fix:
            lines += hang(ink("  do     ", MUTED), problem.fix, width)
    return lines


def warning_lines(what: str, fix: str, width: int) -> list[Content]:
    """A warning and what can be done about it."""
    lines = hang(ink("! ", WARN), what, width)
    return [*lines, *hang("  ", prose(fix, MUTED), width)] if fix else lines
