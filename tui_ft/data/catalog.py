"""Every kind of finding: its id, how bad it is, why it hurts, and what to do. The docs are drawn from here.

Severity follows one rule. Error: some of what was given would not be learned, or would be learned
wrongly; training waits until it is mended or its id is in `[data] ignore`. Warning: it probably hurts.
Info: worth knowing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tui_ft.errors import InputError, Problem
from tui_ft.text import count, nearest

Severity = Literal["info", "warning", "error"]

_FORMS = re.compile(r"(\w+)\|(\w+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of finding.

    `what` is one sentence; {rows} stands for e.g. "3 rows", `have|has` for the form that fits the number.
    `example` is for the docs.
    """

    id: str
    severity: Severity
    what: str
    why: str
    fix: str
    example: str

    def sentence(self, number: int) -> str:
        """What was found, for this many rows."""
        fitting = _FORMS.sub(lambda forms: forms[2] if number == 1 else forms[1], self.what)
        return fitting.format(rows=count(number, "row"))


# An entry reads best with its id, severity and sentence on one line.
# fmt: off
def _entries() -> Iterable[Entry]:
    yield Entry(
        "unparseable", "error", "{rows} cannot be read.",
        "A row that cannot be read cannot be learned from.",
        "Repair or delete these lines.",
        '{"prompt": "Hi", "completion": "Hello"',
    )
    yield Entry(
        "other-kind", "info", "The content of a file is not what its name says.",
        "It is read as what it holds.",
        "Rename the file, so that other tools read it too.",
        "rows.csv that holds JSON lines",
    )
    yield Entry(
        "unknown-columns", "error", "No column is known to be a prompt, an answer or a text.",
        "Nothing can be learned until it is clear which column is which.",
        'Say so in the recipe, e.g. columns = { prompt = "q", completion = "a" } in [data].',
        '{"q": "Hi", "a": "Hello"}',
    )
    yield Entry(
        "guessed-columns", "warning", "The part each column plays is a guess from its name.",
        "A wrong guess trains the model on the wrong text.",
        "Look at the mapping; if it is right, write it into the recipe as columns.",
        '{"query": "Hi", "reply": "Hello"}',
    )
    yield Entry(
        "unused-columns", "info", "Some columns are not used.",
        "Nothing in them is learned.",
        "If one of them belongs to the prompt, name it in columns.",
        '{"prompt": "Hi", "completion": "Hello", "source": "crm"}',
    )
    yield Entry(
        "mixed-shapes", "error", "{rows} have|has another shape than the rest.",
        "They are left out, because they cannot be read the way the others are.",
        "Bring all rows into one shape, or keep the others in a file of their own.",
        "one messages row among Alpaca rows",
    )
    yield Entry(
        "missing-field", "error", "{rows} lack|lacks a field.",
        "They are left out.",
        "Fill in the field, or delete these rows.",
        '{"prompt": "Hi", "completion": null}',
    )
    yield Entry(
        "empty-prompt", "error", "{rows} ask|asks nothing.",
        "They are left out: an answer to nothing teaches the model to ignore the question.",
        "Write the question, or delete these rows.",
        '{"prompt": " ", "completion": "Hello"}',
    )
    yield Entry(
        "empty-answer", "error", "{rows} have|has an empty answer.",
        "They are left out: they would teach the model to say nothing.",
        "Write the answer, or delete these rows.",
        '{"prompt": "Hi", "completion": ""}',
    )
    yield Entry(
        "not-text", "error", "{rows} hold|holds something other than text where text is needed.",
        "They are left out. Images, sounds and binary values cannot be learned here.",
        "Keep the text only.",
        '{"role": "user", "content": [{"type": "image"}]}',
    )
    yield Entry(
        "written-as-json", "info", "{rows} hold|holds numbers or objects where text is expected.",
        "They are written as JSON text; check in the preview that this is what you want.",
        "Write them as strings to decide yourself how they look.",
        '{"prompt": "5 stars?", "completion": 5}',
    )
    yield Entry(
        "broken-unicode", "error", "{rows} hold|holds bytes or escapes that are no character.",
        "They are left out: they cannot be turned into tokens.",
        "Write the file again as UTF-8.",
        '{"prompt": "caf\\\\ud83d", "completion": "Hello"}',
    )
    yield Entry(
        "unknown-role", "error", "{rows} have|has a role that is not system, user, assistant or tool.",
        "They are left out: the model never sees such a role when it is used.",
        "Rename the role.",
        '{"role": "assistent", "content": "Hello"}',
    )
    yield Entry(
        "role-order", "error", "{rows} have|has turns in an order no conversation has.",
        "They are left out: chat templates refuse them or write them wrongly.",
        "User and assistant take turns; a system message comes first; a tool replies to a call.",
        "user, user, assistant",
    )
    yield Entry(
        "no-answer", "error", "{rows} have|has no assistant turn.",
        "They are left out: there is nothing to learn from.",
        "Add the answer, or delete these rows.",
        '{"messages": [{"role": "user", "content": "Hi"}]}',
    )
    yield Entry(
        "answer-not-last", "error", "{rows} end|ends without an answer.",
        "They are left out: the model learns answers, and the last turn has none.",
        "Delete the turns after the last answer.",
        "user, assistant, user",
    )
    yield Entry(
        "bad-tool-call", "error", "{rows} have|has a tool call or a list of tools that is damaged.",
        "They are left out: the model would learn calls that do not work.",
        'A call is {"name": "…", "arguments": {…}} in valid JSON.',
        '{"from": "function_call", "value": "search("}',
    )
    yield Entry(
        "same-pair", "error", "{rows} have|has the same answer as chosen and rejected.",
        "They are left out: there is no preference in them.",
        "Delete these rows.",
        '{"prompt": "Hi", "chosen": "Hello", "rejected": "Hello"}',
    )
    yield Entry(
        "bad-label", "error", "{rows} have|has a label that is neither true nor false.",
        "They are left out.",
        "Write true for good answers and false for bad ones.",
        '{"prompt": "Hi", "completion": "Hello", "label": "maybe"}',
    )
    yield Entry(
        "bad-answers", "info", "{rows} are|is marked as bad.",
        "Plain training learns from good answers only and leaves these out.",
        "Nothing, if good answers alone are what you want.",
        '{"prompt": "Hi", "completion": "Go away", "label": false}',
    )
    yield Entry(
        "pairs", "info", "{rows} hold|holds a chosen and a rejected answer.",
        "Plain training learns from the chosen answer only.",
        "Nothing, if the chosen answers alone are what you want.",
        '{"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}',
    )
    yield Entry(
        "duplicates", "warning", "{rows} repeat|repeats an earlier row exactly.",
        "Copies are learned more often than the rest, word for word.",
        "Delete the copies.",
        "the same line twice",
    )
    yield Entry(
        "conflicting-answers", "warning", "{rows} answer|answers a question otherwise than an earlier row.",
        "The model is pulled both ways and learns neither.",
        "Keep one answer, or add to the question what makes the difference.",
        '"Is it open?" → "Yes", and again → "No"',
    )
    yield Entry(
        "leakage", "error", "{rows} to train on are|is also in the validation or test file.",
        "Scores on rows the model has seen say nothing about new ones.",
        "Delete them from one of the files.",
        "the same question in train.jsonl and test.jsonl",
    )
    yield Entry(
        "short-answers", "warning", "{rows} have|has a suspiciously short answer.",
        "The other answers are far longer; these may be cut off or left over.",
        "Look at them; complete or delete them.",
        '"The" among answers of 150 words',
    )
    yield Entry(
        "broken-json", "warning", "{rows} have|has an answer that is not valid JSON, while most are.",
        "The model learns to write broken JSON too.",
        "Mend these answers.",
        '{"category": "billing"',
    )
    yield Entry(
        "control-characters", "warning", "{rows} hold|holds control characters or terminal escapes.",
        "The model learns to write them, and they can take over the terminal of a reader.",
        "Remove them.",
        r'"\u001b[31mred"',
    )
    yield Entry(
        "special-tokens", "warning", "{rows} hold|holds text that this model reads as a control token.",
        "It ends a turn or begins one in the middle of a text.",
        "Remove or rewrite it.",
        '"Press <|im_end|> to stop"',
    )
    yield Entry(
        "secrets", "warning", "{rows} hold|holds what looks like a password or an access key.",
        "The model can repeat it to anyone who asks.",
        "Replace it with a placeholder, and revoke the key.",
        '"my key is AKIA…"',
    )
    yield Entry(
        "no-chat-template", "error", "{rows} hold|holds a conversation, and the model has no chat template.",
        "They are left out: it is unknown how this model writes a conversation.",
        "Choose the instruct or chat version of the model.",
        "messages of several turns for a base model",
    )
    yield Entry(
        "template-refuses", "error", "{rows} are|is refused by the chat template.",
        "They are left out: the model cannot be given such a conversation.",
        "See what the template says, and change the rows or choose another model.",
        "a template that knows no tools",
    )
    yield Entry(
        "system-refused", "error", "{rows} have|has a system message, which the chat template refuses.",
        "They are left out.",
        "Move the system message into the first user turn, or choose another model.",
        "Gemma 2 with a system prompt",
    )
    yield Entry(
        "system-dropped", "error", "{rows} have|has a system message, which the chat template leaves out.",
        "The model never sees the instruction it is meant to follow.",
        "Move the system message into the first user turn, or choose another model.",
        "a template that skips system messages",
    )
    yield Entry(
        "tools-dropped", "error", "{rows} have|has tools or tool calls that the chat template leaves out.",
        "The model would learn answers without the calls they rest on.",
        "Choose a model whose template knows tools, or remove the calls from the rows.",
        "tool calls for SmolLM2",
    )
    yield Entry(
        "answer-rewritten", "error",
        "{rows} have|has answers that the chat template does not write as they stand.",
        "What you wrote is not what is learned.",
        "Look at the preview; mend the rows or choose another model.",
        "reasoning in <think> that the template strips",
    )
    yield Entry(
        "earlier-answers", "warning", "In {rows} only the last answers are learned.",
        "This template writes earlier answers differently than when they were given.",
        "Nothing, or split long conversations into one row per answer.",
        "Qwen3 in thinking mode, several turns",
    )
    yield Entry(
        "answer-reopened", "warning",
        "In {rows} the template begins answers with text that is not in the data.",
        "The model is made to reason first; without reasoning in the rows it unlearns that.",
        "Add the reasoning to the rows, or choose a model that does not reason.",
        "DeepSeek-R1 begins every answer with <think>",
    )
    yield Entry(
        "stop-added", "warning", "In {rows} a stop token was added after the last answer.",
        "The template ends answers with nothing that the model stops at; without it, it would go on forever.",
        "Nothing; check after training that answers end.",
        "a template without an end-of-turn token",
    )
    yield Entry(
        "stop-not-trained", "error", "{rows} would be learned without a stop token.",
        "The model would not learn to end its answers.",
        "Choose a model whose tokenizer has an end-of-text token.",
        "a tokenizer without eos_token",
    )
    yield Entry(
        "prompt-differs", "warning", "{rows} have|has a prompt whose tokens change with the answer after it.",
        "At inference the model gets slightly other tokens than it was trained on.",
        "End prompts with a line break or without a blank.",
        'a prompt that ends in "A: "',
    )
    yield Entry(
        "mask-unproven", "error", "{rows} failed the proof of what is learned.",
        "The tokens that would be learned are not exactly the answers.",
        "This is a fault in tui-ft or in the template; please report it with the model's name.",
        "a trained run that does not end in a stop token",
    )
    yield Entry(
        "answer-cut", "error", "{rows} lose|loses part of the answer at the length limit.",
        "Cut answers teach the model to stop in the middle, or not to stop.",
        "Raise seq_len in [train], or shorten these rows.",
        "an answer of 900 tokens with seq_len = 512",
    )
    yield Entry(
        "prompt-too-long", "error", "{rows} have|has a prompt that alone fills the length limit.",
        "They are left out: nothing of their answer is left to learn.",
        "Raise seq_len in [train], or shorten these prompts.",
        "a prompt of 600 tokens with seq_len = 512",
    )
    yield Entry(
        "too-few-rows", "error", "There are|is {rows} to learn from.",
        "With fewer than 50 the model learns the rows by heart instead of the task.",
        "Collect at least 50, better 200; until then put examples into the prompt.",
        "a file of 10 rows",
    )
    yield Entry(
        "few-rows", "warning", "There are|is {rows} to learn from.",
        "50 to 100 teach a format or a style; below 200 overfitting is a serious risk.",
        "Collect more if you can; watch the validation loss.",
        "a file of 120 rows",
    )
    yield Entry(
        "many-rows", "info", "There are|is {rows} to learn from.",
        "Above 10,000 an adapter gains little from more rows.",
        "Nothing, or set max_rows in [data] to save time.",
        "a file of 50,000 rows",
    )
    yield Entry(
        "mix-share", "warning", "{rows} of general data are|is mixed in, more than a fifth.",
        "The guides mix in 5 to 20 %; more waters down the task.",
        "Use a smaller file in mix.",
        "500 rows of yours and 5,000 general ones",
    )
    yield Entry(
        "nothing-held-out", "warning", "No row is held out to validate or to test on.",
        "Overfitting cannot be seen, and nobody can say whether the model got better.",
        "Set validation and test to 0.1 in [data], or name files of your own.",
        "validation = 0 and test = 0",
    )
# fmt: on


CATALOG: Final[Mapping[str, Entry]] = {entry.id: entry for entry in _entries()}


def check_ignored(ids: Iterable[str]) -> None:
    """Raises InputError naming every id in `[data] ignore` that is no finding, with the nearest one."""
    problems = [
        Problem(
            f"there is no finding {unknown!r}",
            "data.ignore",
            f"Did you mean {close[0]}?"
            if (close := nearest(unknown, CATALOG))
            else "See docs/data.md for all ids.",
        )
        for unknown in ids
        if unknown not in CATALOG
    ]
    if problems:
        raise InputError(problems)
