"""What a line typed into a chat means. Light: no model here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tui_ft.data.rows import Message
from tui_ft.text import nearest

Model = Literal["base", "tuned"]
Speaker = Literal["base", "tuned", "both"]

COMMANDS = {
    "/tuned": "the tuned model answers",
    "/base": "the base model answers",
    "/both": "both answer, one below the other",
    "/system": "set the system prompt: /system Answer in JSON.",
    "/new": "forget the conversation",
    "/help": "this list",
    "/quit": "leave; Ctrl-D does too",
}


@dataclass(frozen=True, slots=True)
class Talk:
    """Who answers, and what each model was told and said.

    Each has a conversation of its own: a base that sees the tuned model's answers would copy their form.
    """

    speaker: Speaker = "tuned"
    system: str = ""
    base: tuple[Message, ...] = ()
    tuned: tuple[Message, ...] = ()

    def asked(self, which: Model, question: str) -> tuple[Message, ...]:
        """The messages for a model that has to answer this question next."""
        before = (Message(role="system", content=self.system),) if self.system else ()
        return (*before, *self._turns(which), Message(role="user", content=question))

    def answered(self, which: Model, question: str, answer: str) -> Talk:
        """The same with one more question and answer in this model's conversation."""
        more = (Message(role="user", content=question), Message(role="assistant", content=answer))
        turns = (*self._turns(which), *more)
        return replace(self, base=turns) if which == "base" else replace(self, tuned=turns)

    def anew(self, system: str) -> Talk:
        """Nothing said yet, with this system prompt."""
        return replace(self, system=system, base=(), tuned=())

    def _turns(self, which: Model) -> tuple[Message, ...]:
        return self.base if which == "base" else self.tuned


@dataclass(frozen=True, slots=True)
class Reply:
    """What a typed line led to: the conversation now, something to print, a question, or the end."""

    talk: Talk
    say: str = ""
    question: str = ""
    leave: bool = False


def hear(line: str, talk: Talk) -> Reply:
    """Take a typed line: a command or a question."""
    text = line.strip()
    if not text.startswith("/"):
        return Reply(talk, question=text)
    command, _, rest = text.partition(" ")
    match command:
        case "/quit" | "/exit":
            return Reply(talk, leave=True)
        case "/help":
            return Reply(talk, say="\n".join(f"{name:<9}{meaning}" for name, meaning in COMMANDS.items()))
        case "/new":
            return Reply(talk.anew(talk.system), say="The conversation is forgotten.")
        case "/system":
            system = rest.strip()
            said = (
                "The system prompt is set; the conversation begins anew."
                if system
                else "No system prompt now."
            )
            return Reply(talk.anew(system), say=said)
        case "/base":
            return Reply(replace(talk, speaker="base"), say="The base model answers now.")
        case "/tuned":
            return Reply(replace(talk, speaker="tuned"), say="The tuned model answers now.")
        case "/both":
            return Reply(
                replace(talk, speaker="both"), say="Both models answer now, each in its own conversation."
            )
    close = nearest(command, COMMANDS)
    return Reply(
        talk, say=f"There is no {command}; " + (f"did you mean {close[0]}?" if close else "/help lists all.")
    )
