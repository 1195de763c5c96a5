"""Findings about what a model's chat template, tokens and length limit make of the rows."""

from __future__ import annotations

from collections.abc import Iterable

from tui_ft.data.entry import Entry


# An entry reads best with its id, severity and sentence on one line.
# fmt: off
def entries() -> Iterable[Entry]:
    """The kinds of findings, in the order of the docs."""
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
        "reasoning-dropped", "error", "{rows} have|has reasoning that the chat template leaves out.",
        "The model would learn the answers without the thoughts that lead to them.",
        "Choose a model that reasons, or move the reasoning into the answer.",
        "reasoning_content in a row for Llama 3",
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
        "windowed", "info", "{rows} are|is longer than the limit and learned in pieces.",
        "No token is lost, but a piece does not know what stood before it.",
        "Nothing, or raise seq_len in [train] to keep more together.",
        "a plain text of 3,000 tokens with seq_len = 2048",
    )
    yield Entry(
        "prompt-too-long", "error", "{rows} have|has a prompt that alone fills the length limit.",
        "They are left out: nothing of their answer is left to learn.",
        "Raise seq_len in [train], or shorten these prompts.",
        "a prompt of 600 tokens with seq_len = 512",
    )
# fmt: on
