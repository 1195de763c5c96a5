"""Step 1: is fine-tuning the right thing at all? The questions one by one, then the advice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from tui_ft.advice.questions import DONT_KNOW, NONE, Question, path, question
from tui_ft.advice.verdict import Reason, Verdict, decide, leaning

from . import keys
from .ink import GOOD, MUTED, STRONG, WARN, facts, hang, ink, join, labelled
from .page import Page
from .widgets.choice import Choice, Item
from .widgets.lines import Lines

_ALONE = (NONE, DONT_KNOW)  # these exclude the other answers of a question


class QuestionPage(Page):
    """One question at a time; answers given before stay marked."""

    place = "question"
    BINDINGS = keys.bindings("question")

    def body(self) -> ComposeResult:
        """Where we are, the question, the answers, help, what the answers point to."""
        yield Lines(id="asked")
        yield Choice(id="answers")
        with Vertical(id="below"):
            yield Lines(id="explained")
            yield Lines(id="so-far")

    def command(self) -> str:
        """The same on the command line."""
        return "tui-ft advise"

    def on_mount(self) -> None:
        """Ask the question at hand, or the first that is open."""
        self.query_one(Choice).focus()
        self._ask(self._at_hand())

    def _at_hand(self) -> Question:
        asked = path(self.draft.answers)
        return next((q for q in asked if q.id == self.draft.question), asked[0])

    def _ask(self, asked: Question) -> None:
        if self.draft.question != asked.id:
            self.shell.change(question=asked.id)
        answers = self.draft.answers
        way = path(answers)
        number = [q.id for q in way].index(asked.id) + 1
        head = join(ink(f"Question {number} of {len(way)}", MUTED))
        hint = ink("   space marks, several may apply", MUTED) if asked.many else Content("")
        # The longest question must show its help and the lines below without scrolling at 80×24.
        space = [Content("")] if len(asked.options) < 8 or self.has_class("-tall") else []
        self.query_one("#asked", Lines).show(
            lambda width: [join(head, hint), *space, *hang("", ink(asked.text, STRONG), width), *space]
        )
        given = answers.get(asked.id, ())
        chosen = (given,) if isinstance(given, str) else given
        items = [Item(option.value, option.label) for option in asked.options]
        self.query_one(Choice).restart(
            items, several=asked.many, current=chosen[0] if chosen else "", chosen=chosen
        )
        self.query_one("#explained", Lines).show(
            lambda width: [
                Content(""),
                *hang("", ink(asked.help, MUTED), width),
                *hang(ink("Example: ", MUTED), ink(asked.example, MUTED), width),
            ]
        )
        self._point()

    def _point(self) -> None:
        found = leaning(self.draft.answers)
        rows: list[Content] = []
        if found.toward is not None:
            toward = join(ink(f"leaning to {found.toward}: "), ink(found.because, MUTED))
            rows.append(labelled("So far", toward))
        if found.missing:
            rows.append(labelled("Missing", ink(", ".join(found.missing[:3]), MUTED)))
        space = [] if len(rows) == 2 and len(self._at_hand().options) > 7 else [Content("")]
        self.query_one("#so-far", Lines).show([*space, *rows])

    def action_mark(self) -> None:
        """Mark or unmark a line; `none` and `I don't know` stand alone."""
        choice = self.query_one(Choice)
        choice.toggle(alone=_ALONE)

    @on(Choice.Picked)
    def _clicked(self, event: Choice.Picked) -> None:
        if not self._at_hand().many:
            return
        event.choice.toggle(alone=_ALONE)

    def action_next(self) -> None:
        """Take the answer; the next question, or the advice after the last."""
        asked = self._at_hand()
        choice = self.query_one(Choice)
        given = choice.chosen or ((choice.current.id,) if choice.current else ())
        if not given:
            return
        answer = given if asked.many else given[0]
        self._go_on(asked, {**self.draft.answers, asked.id: answer})

    def action_skip(self) -> None:
        """Leave it open."""
        asked = self._at_hand()
        self._go_on(asked, {k: v for k, v in self.draft.answers.items() if k != asked.id})

    def _go_on(self, asked: Question, answers: dict[str, str | tuple[str, ...]]) -> None:
        self.shell.change(answers=answers, verdict=None)
        way = [q.id for q in path(answers)]
        after = way[way.index(asked.id) + 1 :] if asked.id in way else []
        if after:
            self._ask(question(after[0]))
        else:
            self.action_verdict()

    def action_verdict(self) -> None:
        """The advice with what was answered so far."""
        self.shell.draft = self.shell.draft.with_verdict(decide(self.draft.answers))
        self.shell.open("verdict")

    def action_back(self) -> None:
        """The question before; before the first, the welcome page."""
        way = [q.id for q in path(self.draft.answers)]
        at = way.index(self._at_hand().id)
        if at == 0:
            self.shell.open("welcome")
        else:
            self._ask(question(way[at - 1]))


class VerdictPage(Page):
    """The advice, what decided it, what speaks against it, what to do tomorrow."""

    place = "verdict"
    BINDINGS = keys.bindings("verdict")

    def body(self) -> ComposeResult:
        """All of it as one text to scroll."""
        yield Lines(id="facts")

    def command(self) -> str:
        """The same on the command line."""
        return "tui-ft advise"

    def on_mount(self) -> None:
        """Decide again after a resume; it is a pure function of the answers."""
        self.focus_body()
        if self.draft.verdict is None:
            self.shell.draft = self.draft.with_verdict(decide(self.draft.answers))
        self.query_one("#facts", Lines).show(lambda width: describe(self._verdict, width))

    @property
    def _verdict(self) -> Verdict:
        assert self.draft.verdict is not None
        return self.draft.verdict

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """Going on against the advice is called by its name."""
        from dataclasses import replace

        shown = super().footer_keys()
        if self.draft.verdict is None or self.draft.verdict.advises_training:
            return shown
        return tuple(
            replace(key, label="train all the same", main=False) if key.id == "verdict.next" else key
            for key in shown
        )

    def action_next(self) -> None:
        """On to the hardware; against the advice only after asking."""
        if self._verdict.advises_training:
            self.shell.finish_step(0, "hardware")
            return
        from .dialogs import Confirm

        self.shell.push_screen(
            Confirm(
                "Train all the same?",
                f"The advice is: {self._verdict.verdict}. You can go on regardless; the recipe will say so.",
                yes="Go on to the hardware",
                no="Stay with the advice",
            ),
            lambda yes: self.shell.finish_step(0, "hardware") if yes else None,
        )

    def action_back(self) -> None:
        """The last question."""
        self.shell.open("question")

    def action_again(self) -> None:
        """From the first question, with the answers still marked."""
        self.shell.change(question="")
        self.shell.open("question")

    def action_save(self) -> None:
        """Write the advice to a file."""
        from .dialogs import Ask

        self.shell.push_screen(
            Ask("Write the advice to", value=str(Path.cwd() / "advice.txt"), help="A plain text file."),
            self._write,
        )

    def _write(self, answer: str | None) -> None:
        if not answer:
            return
        from tui_ft.errors import TuiFtError
        from tui_ft.files import write_atomically

        text = "\n".join(line.plain.rstrip() for line in describe(self._verdict, 79)) + "\n"
        try:
            write_atomically(Path(answer).expanduser(), text)
        except TuiFtError as error:
            self.failed(error)
        else:
            self.shell.say(f"Written to {answer}.")


def describe(verdict: Verdict, width: int) -> list[Content]:
    """The verdict as text. A "no" is an answer, and reads like one."""
    lines = [Content(""), *hang("", ink(verdict.headline, STRONG), width)]
    name = ink(f"Advice: {verdict.verdict}", GOOD)
    lines += [name, Content("")]
    lines += _reasons(verdict.reasons, "✓ ", GOOD, width)
    if verdict.against:
        lines += _titled("What speaks against it", _reasons(verdict.against, "! ", WARN, width))
    if verdict.contradictions:
        lines += _titled("Answers that do not fit together", _bullets(verdict.contradictions, width))
    steps = [
        line
        for number, step in enumerate(verdict.next_steps, 1)
        for line in hang(ink(f"{number}  ", MUTED), step, width)
    ]
    lines += _titled("What to do next", steps)
    if verdict.would_change:
        lines += _titled("What would change it", _bullets(verdict.would_change, width))
    tried: list[tuple[str, Content | str]] = []
    if verdict.tried:
        tried.append(("tried", ", ".join(verdict.tried)))
    if verdict.not_tried:
        tried.append(("not tried", ", ".join(verdict.not_tried)))
    if verdict.unanswered:
        tried.append(("left open", " ".join(verdict.unanswered)))
    if tried:
        lines += [Content(""), *facts(tried, width)]
    rests_on = "A to E are the five published guides that the advice rests on."
    return [*lines, Content(""), *hang("", ink(rests_on, MUTED), width)]


def _titled(title: str, lines: Iterable[Content]) -> list[Content]:
    return [Content(""), ink(title, STRONG), *lines]


def _bullets(texts: Sequence[str], width: int) -> list[Content]:
    return [line for text in texts for line in hang(ink("· ", MUTED), text, width)]


def _reasons(reasons: Sequence[Reason], sign: str, style: str, width: int) -> list[Content]:
    lines = []
    for reason in reasons:
        source = f"  ({', '.join(reason.guides)})" if reason.guides else ""
        lines += hang(ink(sign, style), join(ink(reason.text), ink(source, MUTED)), width)
    return lines
