"""A calm message: what happened, where, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui_ft.errors import Problem, TuiFtError

from ..ink import BAD, MUTED, WARN, ink, join, prose, stack
from .lines import Prose


class Notice(Prose):
    """Hidden until there is something to say."""

    DEFAULT_CSS = """
    Notice { display: none; height: auto; padding: 0 1; margin: 0 1; border-left: outer $bad; }
    Notice.-warn { border-left: outer $warn; }
    """

    def tell(self, error: TuiFtError) -> None:
        """Show every problem of an error."""
        self.remove_class("-warn")
        self._open(stack(problem_lines(error.problems)))

    def warn(self, what: str, fix: str = "") -> None:
        """Show something that does not stop the user."""
        self.add_class("-warn")
        lines = [join(ink("! ", WARN), ink(what))]
        self._open(stack([*lines, join("  ", ink(fix, MUTED))] if fix else lines))

    def clear(self) -> None:
        """Nothing to say any more."""
        self.display = False

    def _open(self, content: Content) -> None:
        self.show(content)
        self.display = True


def problem_lines(problems: Sequence[Problem]) -> list[Content]:
    """Each problem as a headline, its place, and the way out."""
    lines: list[Content] = []
    for problem in problems:
        what = problem.what[:1].upper() + problem.what[1:]
        lines.append(join(ink("✗ ", BAD), prose(what)))
        if problem.where:
            lines.append(join(ink("  where  ", MUTED), ink(problem.where)))
        if problem.fix:
            lines.append(join(ink("  do     ", MUTED), prose(problem.fix)))
    return lines
