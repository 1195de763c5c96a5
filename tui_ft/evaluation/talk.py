"""What a line typed into a chat means. Light: no model here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tui_ft.data.rows import Message
from tui_ft.text import nearest

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
    """A conversation: who answers, and what was said. `turns` begin with a user message."""

    speaker: Speaker = "tuned"
    system: str = ""
    turns: tuple[Message, ...] = ()

    def asked(self, question: str) -> tuple[Message, ...]:
        """The messages for a model that has to answer this question next."""
        before = (Message(role="system", content=self.system),) if self.system else ()
        return (*before, *self.turns, Message(role="user", content=question))

    def answered(self, question: str, answer: str) -> Talk:
        """The conversation with one more question and its answer."""
        more = (Message(role="user", content=question), Message(role="assistant", content=answer))
        return replace(self, turns=(*self.turns, *more))


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
            return Reply(replace(talk, turns=()), say="The conversation is forgotten.")
        case "/system":
            system = rest.strip()
            said = (
                "The system prompt is set; the conversation begins anew."
                if system
                else "No system prompt now."
            )
            return Reply(replace(talk, system=system, turns=()), say=said)
        case "/base":
            return Reply(replace(talk, speaker="base"), say="The base model answers now.")
        case "/tuned":
            return Reply(replace(talk, speaker="tuned"), say="The tuned model answers now.")
        case "/both":
            return Reply(
                replace(talk, speaker="both"), say="Both models answer now; the tuned answer is remembered."
            )
    close = nearest(command, COMMANDS)
    return Reply(
        talk, say=f"There is no {command}; " + (f"did you mean {close[0]}?" if close else "/help lists all.")
    )
