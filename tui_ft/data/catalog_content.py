"""Findings about what the rows say."""

from __future__ import annotations

from collections.abc import Iterable

from tui_ft.data.entry import Entry


# An entry reads best with its id, severity and sentence on one line.
# fmt: off
def entries() -> Iterable[Entry]:
    """The kinds of findings, in the order of the docs."""
    yield Entry(
        "duplicates", "warning", "{rows} repeat|repeats an earlier row exactly.",
        "Copies are learned more often than the rest, word for word.",
        "Delete the copies.",
        "the same line twice",
    )
    yield Entry(
        "copies", "warning", "{rows} repeat|repeats an earlier row but for case, spacing or punctuation.",
        "Copies are learned more often than the rest; one of them may be held out and the other trained on.",
        "Delete the copies.",
        '"What is it?" → "A bird." and "what is it" → "A bird"',
    )
    yield Entry(
        "near-duplicates", "warning", "{rows} nearly repeat|repeats an earlier row.",
        "The model learns them as one row seen several times.",
        "Look at them; keep the best of each.",
        "the same ticket twice, with another date",
    )
    yield Entry(
        "conflicting-answers", "warning", "{rows} answer|answers a question otherwise than an earlier row.",
        "The model is pulled both ways and learns neither.",
        "Keep one answer, or add to the question what makes the difference.",
        '"Is it open?" → "Yes", and again → "No"',
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
        "fenced-json", "info", "{rows} wrap|wraps JSON in a Markdown fence.",
        "The model learns to write the fence too, and a program that reads its answers has to take it off.",
        "Remove the fences, unless you want them; have all rows alike.",
        '"```json\\n{\\"category\\": \\"billing\\"}\\n```"',
    )
    yield Entry(
        "json-schema", "warning", "{rows} have|has JSON that is built otherwise than the rest.",
        "A field that is missing, misspelt or of another type is learned like that.",
        "Mend these answers; the report has the fields and how many rows have each.",
        '{"category": "billing"} where the others have a priority too',
    )
    yield Entry(
        "odd-values", "info", "{rows} have|has a value in a JSON field that no other row has.",
        "The other rows choose among a few values; this one may be a slip.",
        "Look at them; a value that is meant needs more rows.",
        '{"priority": "urgent"} where all others are low, medium or high',
    )
    yield Entry(
        "label-imbalance", "warning", "Nearly all answers, {rows}, are the same label.",
        "A model that always gives this one is right nearly always, and learns nothing else.",
        "Collect rows of the other labels, or leave out some of this one.",
        "950 × positive, 50 × negative",
    )
    yield Entry(
        "rare-labels", "warning", "{rows} have|has a label that fewer than 5 rows have.",
        "That is too seldom to learn it, and to measure whether it is known.",
        "Collect more rows of it, or merge it with another label.",
        "3 × fraud among 900 others",
    )
    yield Entry(
        "misspelt-labels", "warning", "{rows} have|has a label that looks like another one, misspelt.",
        "The model learns both, and answers with the wrong one now and then.",
        "Write the label as the other rows do.",
        '"positve" or "Positive" among many "positive"',
    )
    yield Entry(
        "system-drift", "warning", "{rows} have|has a system prompt that is nearly the usual one.",
        "The model is used with one prompt only; what it learned under another counts less.",
        "Use the same system prompt in all rows, and at inference.",
        '"You are an helpful assistant." beside "You are a helpful assistant."',
    )
    yield Entry(
        "system-missing", "warning", "{rows} have|has no system prompt, while most have one.",
        "The model learns to do the task without being told, and to do it differently.",
        "Add the system prompt, or set system in [data], which fills it in where it is missing.",
        "10 of 500 conversations begin with the user",
    )
    yield Entry(
        "answer-language", "warning", "{rows} are|is answered in another language than asked.",
        "The model learns to change the language without being asked to.",
        "Look at them; translate the answers, or say in the prompt which language is wanted.",
        "a German question with an English answer, among rows of one language",
    )
    yield Entry(
        "stray-languages", "info", "{rows} are|is in another language than the others.",
        "Too few to learn that language from; they may have slipped in.",
        "Nothing, if they are meant; else delete them.",
        "3 French questions among 500 English ones",
    )
    yield Entry(
        "refusals", "warning", "{rows} have|has an answer that refuses.",
        "The model learns to refuse what it could do.",
        "Delete them, unless it is to refuse exactly these.",
        "\"I'm sorry, but I cannot help with that.\"",
    )
    yield Entry(
        "ai-phrases", "warning", "{rows} have|has an answer that speaks of itself as an AI language model.",
        "It is left over from the model that wrote the answers, and will be repeated.",
        "Rewrite or delete these answers.",
        '"As an AI language model, I do not have feelings."',
    )
    yield Entry(
        "stock-openings", "info", "{rows} have|has an answer that opens with a stock phrase.",
        "The model learns to open like that too.",
        "Cut the phrase off, unless you want it.",
        '"Sure! Here is a list of …"',
    )
    yield Entry(
        "repeated-text", "warning", "{rows} repeat|repeats a line or a phrase over and over.",
        "The model learns to go round in circles.",
        "Cut them where the repetition begins, or delete them.",
        "the same sentence eight times",
    )
    yield Entry(
        "placeholders", "warning", "{rows} hold|holds a blank that was not filled in.",
        "The model learns to write the placeholder.",
        "Fill them in, or delete these rows.",
        'TODO, lorem ipsum, {{name}}, [INSERT …], <your name>',
    )
    yield Entry(
        "outer-whitespace", "info", "{rows} have|has an answer with white space around it.",
        "The model learns to write blanks and empty lines before it begins or after it is done.",
        "Trim these answers.",
        r'"Hello\n\n"',
    )
    yield Entry(
        "html-remnants", "warning", "{rows} hold|holds HTML tags or entities in a text on other things.",
        "The model learns to write them.",
        "Remove the tags and put characters in the place of entities.",
        '"Fish &amp; chips<br>Salad&nbsp;"',
    )
    yield Entry(
        "mojibake", "warning", "{rows} hold|holds characters that were decoded wrongly.",
        "The model learns the wrong characters, and each costs several tokens.",
        "Decode the source as UTF-8; what is told by its bytes can be put right here.",
        '"cafÃ©", "itâ€™s", or U+FFFD where a character was lost',
    )
    yield Entry(
        "invisible-characters", "warning", "{rows} hold|holds characters that cannot be seen.",
        "They split words into other tokens, change the order in which text is shown, or hide text.",
        "Remove them.",
        "a zero-width space in the middle of a word",
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
        "personal-data", "warning", "{rows} hold|holds personal data.",
        "The model can repeat it to anyone who asks, and the law may forbid to use it.",
        "Replace it with placeholders or invented data.",
        "an e-mail address, the number of a phone, a card, a bank account (IBAN) or a social security number",
    )
# fmt: on
