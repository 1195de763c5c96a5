"""Findings about files and rows that cannot be read or used as they are."""

from __future__ import annotations

from collections.abc import Iterable

from tui_ft.data.entry import Entry


# An entry reads best with its id, severity and sentence on one line.
# fmt: off
def entries() -> Iterable[Entry]:
    """The kinds of findings, in the order of the docs."""
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
        "other-encoding", "info", "The text is in UTF-16 or UTF-32.",
        "It is read as it is; most other tools expect UTF-8.",
        "Convert it with the command that is shown.",
        "a file that Windows saved as Unicode",
    )
    yield Entry(
        "guessed-encoding", "error", "The text is not in UTF-8; what it is in can only be guessed.",
        "A wrong guess turns every letter beyond A to Z into another one, and the model learns that.",
        "Convert it with the command that is shown, or accept the guess if the excerpt reads well.",
        "a Latin-1 file, in which é is one byte",
    )
    yield Entry(
        "mixed-line-ends", "info", "Some lines end as on Windows, others do not.",
        "Rows are told apart all the same; in plain text and in CSV cells the model sees the difference.",
        "Write the file again with one kind of line end.",
        "two files, one of them from Windows, pasted into one",
    )
    yield Entry(
        "duplicate-keys", "error", "{rows} have|has a name twice in one object, with different values.",
        "Only the last value is read; whatever the other one says is lost.",
        "Rename one of the two, or delete it.",
        '{"prompt": "Hi", "prompt": "Hello", "completion": "Good day"}',
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
        'Nothing, if good answers alone are what you want; method.objective = "kto" learns from both.',
        '{"prompt": "Hi", "completion": "Go away", "label": false}',
    )
    yield Entry(
        "one-verdict", "error", "{rows} are|is marked alike.",
        "Learning from verdicts needs answers of both kinds, to tell them apart.",
        'Add rows of the other kind; with good answers alone, set method.objective to "sft".',
        "label = true in every row, for kto",
    )
    yield Entry(
        "pairs", "info", "{rows} hold|holds a chosen and a rejected answer.",
        "Plain training learns from the chosen answer only.",
        'Nothing, if these alone are what you want; method.objective = "dpo" or "orpo" learns from both.',
        '{"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}',
    )
# fmt: on
