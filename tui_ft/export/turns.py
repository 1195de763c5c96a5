"""A chat template as what stands before and after each turn, found by rendering probe conversations. Light.

Most templates write a conversation as one turn after the other, each between fixed texts. Such a template
can be said in any other template language. Whether it is one is not guessed from its source: the fixed
texts are cut out of renderings with marked contents, and then must reproduce other conversations to the
last character. Templates that fail are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui_ft.data.rows import Message
from tui_ft.errors import InputError
from tui_ft.models.tokenizer import ChatTokenizer

# Contents that no template contains or changes: no blanks to strip, no markup.
_SYSTEM, _USER, _ANSWER, _USER2 = (f"§{name}§" for name in ("s", "u1", "a1", "u2"))


@dataclass(frozen=True, slots=True)
class Around:
    """What stands before and after the content of a turn."""

    before: str
    after: str

    def write(self, content: str) -> str:
        """The turn."""
        return f"{self.before}{content}{self.after}"


@dataclass(frozen=True, slots=True)
class Turns:
    """A conversation format.

    `system` is None when a system message is put into the first user turn, before the question and
    followed by `joint`. `default_system` is what a conversation without a system message gets in its
    place; None when it gets no system turn at all. `opening` is written once, at the very beginning.
    """

    opening: str
    system: Around | None
    joint: str
    default_system: str | None
    user: Around
    assistant: Around
    prompt: str  # opens the answer that is asked for

    @property
    def takes_system(self) -> bool:
        """Whether a system message has a place in it."""
        return self.system is not None or bool(self.joint)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for the next answer."""
        turns = list(messages)
        given = turns.pop(0)["content"] if turns[0]["role"] == "system" else self.default_system
        text = self.opening
        if given is not None and self.system is not None:
            text += self.system.write(given)
        for i, turn in enumerate(turns):
            folded = i == 0 and given is not None and self.system is None
            content = f"{given}{self.joint}{turn['content']}" if folded else turn["content"]
            text += (self.user if turn["role"] == "user" else self.assistant).write(content)
        return text + self.prompt


def find(tokenizer: ChatTokenizer) -> Turns | None:
    """The template as turns; None when it is not of that kind or there is no template."""
    if not tokenizer.has_template:
        return None
    try:
        turns = _cut(tokenizer)
        return turns if turns is not None and _reproduces(turns, tokenizer) else None
    except InputError:
        return None


def _cut(tokenizer: ChatTokenizer) -> Turns | None:
    long = _between(_render(tokenizer, _USER, _ANSWER, _USER2), _USER, _ANSWER, _USER2)
    asked = _between(_render(tokenizer, _USER, prompt=True), _USER)
    begun = _between(_render(tokenizer, _USER), _USER)
    answered = _between(_render(tokenizer, _USER, _ANSWER), _USER, _ANSWER)
    if long is None or asked is None or begun is None or answered is None:
        return None
    head, to_answer, to_user, _ = long
    # Where a question ends and an answer begins cannot be told, and need not be: they always meet.
    after_user = begun[-1] if all(text.startswith(begun[-1]) for text in (to_answer, asked[-1])) else ""
    after_answer = answered[-1]
    before_user = to_user.removeprefix(after_answer)
    if not to_user.startswith(after_answer) or not head.endswith(before_user):
        # Something is written at the end of a conversation only; what precedes every question is the same.
        before_user = _common_end(head, to_user)
        after_answer = to_user.removesuffix(before_user)
    turns = Turns(
        opening=head.removesuffix(before_user),
        system=None,
        joint="",
        default_system=None,
        user=Around(before_user, after_user),
        assistant=Around(to_answer.removeprefix(after_user), after_answer),
        prompt=asked[-1].removeprefix(after_user),
    )
    return _with_system(turns, tokenizer)


def _with_system(turns: Turns, tokenizer: ChatTokenizer) -> Turns | None:
    """The format with its system turn, told apart from a default one."""
    messages = [Message(role="system", content=_SYSTEM), Message(role="user", content=_USER)]
    try:
        parts = _between(tokenizer.render(messages), _SYSTEM, _USER)
    except InputError:
        return turns  # it takes no system messages, which is no reason to give up
    if parts is None:
        return None
    head, middle, _ = parts
    if head == turns.opening + turns.user.before:
        return replace(turns, joint=middle)
    if not middle.endswith(turns.user.before):
        return None
    after = middle.removesuffix(turns.user.before)
    if head.startswith(turns.opening):
        return replace(turns, system=Around(head.removeprefix(turns.opening), after))
    default = turns.opening.removeprefix(head).removesuffix(after)
    if turns.opening != f"{head}{default}{after}":
        return None
    return replace(turns, opening="", system=Around(head, after), default_system=default)


def _common_end(one: str, other: str) -> str:
    shared = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        shared += 1
    return one[len(one) - shared :]


def _render(tokenizer: ChatTokenizer, *contents: str, prompt: bool = False) -> str:
    roles = ("user", "assistant")
    messages = [Message(role=roles[i % 2], content=content) for i, content in enumerate(contents)]
    return tokenizer.render(messages, None, prompt)


def _between(text: str, *marks: str) -> list[str] | None:
    """The texts around the marks, each of which must stand once and in this order."""
    parts = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or mark in text:
            return None
        parts.append(before)
    return [*parts, text]


def _reproduces(turns: Turns, tokenizer: ChatTokenizer) -> bool:
    """True when the format writes every probe exactly as the template does."""
    probes = [
        ["Hello."],
        ["What is 2 + 2?", "4", "And 3 + 3?"],
        ["One\ntwo", '{"a": [1, 2]}', "Three", "Four\n\nfive", "Six, é 漢字"],
    ]
    conversations = [
        [Message(role=("user", "assistant")[i % 2], content=text) for i, text in enumerate(probe)]
        for probe in probes
    ]
    if turns.takes_system:
        system = Message(role="system", content="Answer in JSON.\nBe brief.")
        conversations += [[system, *messages] for messages in conversations]
    return all(turns.render(messages) == tokenizer.render(messages, None, True) for messages in conversations)
