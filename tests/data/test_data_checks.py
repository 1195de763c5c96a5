"""Checks of single rows: what each finds, and what looks like it and is sound."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.samples import chat
from tui_ft.data.catalog import CATALOG
from tui_ft.data.checks import ROW_CHECKS, marks_of
from tui_ft.data.rows import Message, Row

# Written apart, so that this file does not itself hold what looks like a key.
AWS = "AKIA" + "Q3EGRT7XWZ5BN2KD"
GITHUB = "ghp_" + "f8K2mQ9xLw3RtY7vBn5ZcJ1hPd6sGa4eUo0T"
HUGGING_FACE = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNm12345678"
OPENAI = "sk-" + "proj-Zk3vR8tYw1Lq5Nx7Bd2Hs9Fm4Jc6Pa0G"
ANTHROPIC = "sk-ant-" + "api03-Xy7Tq2Lm9Rb4Nv6Kc8Wd3Fh5Jp1Zs0GaE"
SLACK = "xoxb-" + "2345678901-2345678901234-Zk3vR8tYw1Lq5Nx7Bd2Hs9Fm"
STRIPE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
GOOGLE = "AIza" + "SyD3k9Lm2Qx7Rt5Vb8Nw1Zc4Hf6Jp0Ta9Ye"
GITLAB = "glpat-" + "xY7zQ2wE9rT4yU6iO1pA"
TOKEN = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiI5ODc2NTQzIn0.4Qk9mZr2Xw7Lt5Vb8Nc1Hf"


def marks(answer: str, prompt: str = "Please go on") -> dict[str, str]:
    return dict(marks_of(chat(("user", prompt), ("assistant", answer))))


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        ("control-characters", "\x1b[31mred\x1b[0m as ever"),
        ("control-characters", "a bell\x07 rings"),
        ("control-characters", "next line\x85 of old"),
        ("invisible-characters", "in the mid\u200bdle of a word"),
        ("invisible-characters", "copied hy\u00adphens from a page"),
        ("invisible-characters", "access \u202egnp.exe"),
        ("invisible-characters", "\ufeffThe mark of a file"),
        ("invisible-characters", "left\u200fwards in English"),
        ("invisible-characters", "hidden \U000e0069\U000e0067\U000e006e tags"),
        ("invisible-characters", "joined\u200dletters"),
        ("mojibake", "a cafÃ© in Paris"),
        ("mojibake", "itâ€™s broken"),
        ("mojibake", "she said â€œyesâ€\x9d"),
        ("mojibake", "10 Â°C outside"),
        ("mojibake", "by way of Latin-1: Ã\x89cole"),
        ("mojibake", "ÐŸÑ€Ð¸Ð²ÐµÑ‚ to all"),
        ("mojibake", "ðŸ˜€ there"),
        ("mojibake", "ä½\xa0å¥½ä¸–ç•Œ is hello"),
        ("mojibake", "lost \ufffd here"),
        ("html-remnants", "Fish &amp; chips<br>Salad&nbsp;"),
        ("html-remnants", "It is <strong>very</strong> good"),
        ("html-remnants", 'Read <a href="x">this</a> soon'),
        ("html-remnants", "Caf&eacute; and &#39;more&#39;"),
        ("placeholders", "TODO: write this answer"),
        ("placeholders", "Lorem ipsum dolor sit amet"),
        ("placeholders", "Hello {{ customer_name }}, welcome."),
        ("placeholders", "Hello {{Customer Name}}, welcome."),
        ("placeholders", "Dear [INSERT NAME HERE], welcome."),
        ("placeholders", "Dear <your name>, welcome."),
        ("placeholders", "I am [Your Name] and I answer."),
        ("placeholders", "It says: lorem ipsum dolor."),
        ("placeholders", "It is \nTBD\n for now"),
        ("secrets", f"use {AWS} to log in"),
        ("secrets", f"git clone with {GITHUB}"),
        ("secrets", f"set HF_TOKEN={HUGGING_FACE}"),
        ("secrets", f"the key is {OPENAI}."),
        ("secrets", f'"{ANTHROPIC}"'),
        ("secrets", SLACK),
        ("secrets", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzGk2pQz"),
        ("secrets", "sk-" + "1234567890abcdef1234567890abcdef"),
        ("secrets", STRIPE),
        ("secrets", f"key={GOOGLE}&q=1"),
        ("secrets", GITLAB),
        ("secrets", f"Authorization: Bearer {TOKEN}"),
        ("secrets", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("secrets", "postgres://admin:h7Gk2pQz@db7.shop.net:5432/orders"),
        ("secrets", "The password: Xk9$mQ2vLp7w works"),
        ("secrets", "api_key = 'b7f2e91c4d8a3065fe12c9ab'"),
        ("personal-data", "write to marta.kowalska@onet.pl please"),
        ("personal-data", "call (212) 736-5084 tonight"),
        ("personal-data", "call 917-736-5084 tonight"),
        ("personal-data", "my number is +49 30 23125 847"),
        ("personal-data", "Telefon: 030 23125847"),
        ("personal-data", "card 4539 1488 0343 6467, thanks"),
        ("personal-data", "credit card 4539148803436467, thanks"),
        ("personal-data", "pay to DE75 5121 0800 1245 1261 99 today"),
        ("personal-data", "her SSN is 536-22-8714"),
        ("personal-data", "SSN: 123-45-6789"),
        ("personal-data", "pay with 4111-1111-1111-1111"),
        ("personal-data", "Amex 3782 822463 10005"),
        ("personal-data", "IBAN GB82 WEST 1234 5698 7654 32"),
        ("personal-data", "call +49 151 23456789 after five"),
        ("personal-data", "the user logged in from 81.169.145.156 again"),
        ("refusals", "I'm sorry, but I cannot help with that."),
        ("refusals", "I cannot fulfill this request."),
        ("refusals", "Sorry, I can’t assist with that request."),
        ("refusals", "I am unable to provide legal advice."),
        ("ai-phrases", "As an AI language model, I do not have feelings."),
        ("ai-phrases", "Well. As an AI, my opinion is none."),
        ("ai-phrases", "I am a large language model trained to help."),
        ("stock-openings", "Sure! Here is a list of fruits: apples and pears."),
        ("stock-openings", "Certainly! I'd be happy to explain it."),
        ("stock-openings", "Of course. Let me see what there is."),
        ("repeated-text", "It goes on. " + "And then he said so again. " * 9),
        ("repeated-text", "word " * 40),
        ("repeated-text", "\n".join(["Buy now, it is cheap!"] * 9 + ["The end."])),
    ],
)
def test_what_is_found(finding: str, text: str) -> None:
    assert set(marks(text)) == {finding}
    assert finding in CATALOG


@pytest.mark.parametrize(
    "text",
    [
        # characters
        "tabs\tand\r\nline ends",
        "naïve café — “quotes” … ’tis 日本語 🙂 €5 °C ½ ™",
        "a family 👨\u200d👩\u200d👧 and a heart ❤️\u200d🔥",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f is Scotland",
        "می\u200cخواهم بروم",
        "क्\u200dष and க்\u200cஷ",
        "שלום\u200f! (hello)",
        "\u202bעברית\u202c",
        "ภาษา\u200bไทย",
        "CAFÉ\u00a0! À bientôt, « ça va\u00a0» … déjà\u00a0»",
        "A SITUAÇÃO “É” GRAVE; PERCHÉ… e IRMÔ",
        "Ångström, Äpfel, Ärger, É, Ñandú, Île, âge, château",
        "Привет, как дела? Да",
        "你好，世界。今天天气很好",
        "Καλημέρα κόσμε",
        # markup
        "a < b and c > d, so a<b>c",
        "AT&T; R&D; Q&A; fish & chips",
        "The `<br>` tag breaks a line in HTML.",
        "```\n<div class='x'>&nbsp;</div>\n```",
        "Use &lt; in XML.",
        "<think>Two and two.</think> Four.",
        "<person>Ann</person> met <place>Rome</place>",
        # placeholders
        "My to-do list: TODO groceries",
        "In Jinja {{ name }} prints a variable.",
        "The Mustache template says {{name}}.",
        "f'{{literal}}' in a Python string",
        "${{ secrets.TOKEN }} in a GitHub Actions workflow",
        "x in [1, 2], see [Smith 2019] and [insertion sort]",
        "Todo el mundo lo sabe",
        r"\frac{{a}}{{b}} in LaTeX",
        # secrets
        "AKIAIOSFODNN7EXAMPLE",
        "sk-fading-circle-and-more-of-it-2024",
        "hf_hub_download and ghp_ prefixes",
        "sk-" + "x" * 48,
        "hf_your_token_here_and_nothing_else_at_all",
        "password: your_password_here",
        "password = os.environ['DB_PASSWORD']",
        "password=getpass.getpass(prompt1)",
        "The password must have 8 characters: 1 digit at least",
        "postgres://user:password@localhost:5432/db",
        "mysql://root:example1@db.example.com/x",
        "https://example.com:8080/a@b",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "a public key: -----BEGIN PUBLIC KEY-----",
        "supercalifragilisticexpialidocious2 is long",
        # personal data
        "mail user@example.com, info@firma.de or john.doe@gmail.com",
        "git@github.com:owner/repo.git and root@server.local",
        "npm i @types/node@20.1.0 lodash@4.17.21",
        "12345678 * 87654321 = 1014893 and 1.234.567,89",
        "pi is 3.14159265358979323846264338327950288",
        "The result is 4212883012996 of 4539148803436467 steps",
        "version 1.2.3.4 and 10.0.19041.1288",
        "the IP address 192.168.1.17 and ip 8.8.8.8",
        "call 212-555-0123 or 1-800-273-8255 or (123) 456-7890",
        "from 2010-2011 to 2019-2020, 1914-1918",
        "472547338\n+960397912\n-------\n1432945250",
        "+1234567890 is no number of anybody",
        "4111 1111 1111 1112 and 4539 1488 0343 6468 fail the check",
        "DE88 3704 0044 0532 0130 00 fails the check, XX82 WEST 1234 5698 7654 32 is no country",
        "ISBN 978-3-16-148410-0, order 2023-0042-1177",
        "123-45-6789 is no number of anybody",
        "$1,250.00-1,300.00 (up 12.5 %), 1:30-2:45",
        "CAS 7732-18-5, item 4006381333931",
        "2024-05-17T10:00:00+02:00",
        # stock phrases
        "I'm sorry to hear that. Please restart the router.",
        "I can't believe it works!",
        "Unfortunately, the shop is closed on Sundays.",
        "As an AI researcher, I write papers.",
        "I am Nova, an AI assistant made by Acme.",
        "Sure-footed goats climb here.",
        "Certainly the best of them.",
        "Of course not.",
        # repetition
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 12,
        "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        "-" * 200,
        "\n".join(f"- point number {i} of the list" for i in range(20)),
        "int f() {\n    int x = 1;" + "\n    }" * 12,
    ],
)
def test_what_is_sound(text: str) -> None:
    assert marks(text) == {}
    assert dict(marks_of(Row("00", "rows.jsonl", 1, text=text))) == {}


def test_excerpts_are_harmless_and_keep_the_secret() -> None:
    for text in (
        AWS,
        GITHUB,
        OPENAI,
        TOKEN,
        "password: Xk9$mQ2vLp7w",
        "marta.kowalska@onet.pl",
        "917-736-5084",
    ):
        (seen,) = marks(f"it is {text} here").values()
        assert not any(text[at : at + 8] in seen for at in range(len(text) - 7))
    assert marks("use " + AWS) == {"secrets": "AKIAQ3… (20 characters)"}
    assert marks("at marta.kowalska@onet.pl") == {"personal-data": "e-mail ma… (22 characters)"}
    (seen,) = marks("\x1b]0;title\x07 and \x1b[2J").values()
    assert seen.isprintable()
    assert "U+001B" in seen


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I am an AI language model and do not have access to it.",
        "I apologize, but as an AI I don't have the ability to book flights.",
    ],
)
def test_a_refusal_of_a_machine_is_both(text: str) -> None:
    assert set(marks(text)) == {"refusals", "ai-phrases"}


def test_asked_for_is_no_fault() -> None:
    chorus = "We sing it all night long. " * 12
    assert marks(chorus, "Write a song with a long chorus") == {}
    assert set(marks(chorus, "What is a chair?")) == {"repeated-text"}
    generated = '{"password": "aB3#fG7&hJ9%kL2"}'
    assert marks(generated, "Generate a random password of 15 characters") == {}
    assert marks("Yours, [Your Name]", "Draft a letter to my bank") == {}
    assert marks("It is &nbsp; there", "How do I write a no-break space in HTML?") == {}


def test_every_part_of_a_row_is_looked_at() -> None:
    bell = "ding \x07 dong"
    plain = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello"))
    call: dict[str, Any] = {"type": "function", "function": {"name": "f", "arguments": {"q": ["x", bell]}}}
    rows = [
        Row("00", "f", 1, (Message(role="system", content=bell), *plain)),
        Row("00", "f", 1, (plain[0], Message(role="assistant", content="So", reasoning_content=bell))),
        Row("00", "f", 1, (plain[0], Message(role="assistant", content="", tool_calls=[call]))),
        Row("00", "f", 1, plain[:1], chosen=bell, rejected="No"),
        Row("00", "f", 1, plain[:1], chosen="Yes", rejected=bell),
        Row("00", "f", 1, text=bell),
    ]
    for row in rows:
        assert [finding for finding, _ in marks_of(row)] == ["control-characters"]


def test_refusals_are_counted_in_what_is_learned_only() -> None:
    refusal = "I cannot assist with that."
    question = (Message(role="user", content=f"Why do you say: {refusal}"),)
    assert marks_of(Row("00", "f", 1, question, chosen="Because.", rejected=refusal)) == ()
    assert marks_of(Row("00", "f", 1, text=refusal)) == ()


def test_checks_have_entries_in_the_catalog() -> None:
    assert set(ROW_CHECKS) <= set(CATALOG)
    assert all(CATALOG[finding].severity != "error" for finding in ROW_CHECKS)
