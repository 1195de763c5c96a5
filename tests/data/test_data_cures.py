"""Texts put right: nothing else changes, and doing it twice changes nothing more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.samples import chat
from tests.data.test_data_checks import AWS, GITHUB, SLACK, TOKEN
from tui_ft.data.characters import mended, without_control, without_invisible
from tui_ft.data.checks import ROW_CHECKS, marks_of
from tui_ft.data.credentials import without_secrets
from tui_ft.data.leftovers import trimmed, unescaped
from tui_ft.data.personal import without_personal_data
from tui_ft.data.redaction import redacted
from tui_ft.text import sanitize

CURES: dict[str, Callable[[str], str]] = {
    "control-characters": without_control,
    "invisible-characters": without_invisible,
    "mojibake": mended,
    "html-remnants": unescaped,
    "outer-whitespace": trimmed,
    "secrets": without_secrets,
    "personal-data": without_personal_data,
    "redacted": redacted,
}
# Pieces that mean something to one of the cures, and what may stand next to them.
PIECES = (
    "\x1b[31m", "\x1b]0;t\x07", "\x1b", "\x9b", "[", "31m", "\x07", "\x85", "\r", "\n", " ",
    "\u200b", "\u200d", "\u200f", "\ufeff", "👨", "😀", "ש", "می", "ไ",
    "Ã", "©", "¢", "â", "€", "™", "ƒ", "Â", "ðŸ˜€", "Ð¿Ñ€Ð¸", "ï»¿",
    "&amp;", "&", "amp;", "lt;", "#38;", "&nbsp;", "&#0;", "&notit;", "a", "B", "7", ".", "@", "-", "=",
    "marta", "onet.pl", "+49 30 231258", "917-736-5084", "4539 1488 0343 6467", "536-22-8714",
    "DE75512108001245126199", "IP 81.169.145.156", AWS, GITHUB, SLACK, TOKEN, "password: ", "Xk9mQ2vLp7wz",
    "postgres", "://u:", "h7Gk2pQz", "@db7.shop.net", "-----BEGIN PRIVATE KEY-----", "[secret]",
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


@pytest.mark.parametrize("name", CURES)
@given(text=TEXTS)
def test_a_cure_is_idempotent(name: str, text: str) -> None:
    once = CURES[name](text)
    assert CURES[name](once) == once


@given(text=TEXTS)
def test_after_the_cure_the_check_finds_nothing(text: str) -> None:
    for finding in ("control-characters", "invisible-characters", "secrets", "personal-data"):
        row = chat(("user", "Hi"), ("assistant", CURES[finding](f"{text}.")))
        assert finding not in dict(marks_of(row))


@given(text=TEXTS)
def test_whatever_is_found_is_harmless_to_show(text: str) -> None:
    for row in (chat(("user", text), ("assistant", text)), chat(("user", "Hi"), ("assistant", text * 12))):
        for finding, seen in marks_of(row):
            assert finding in ROW_CHECKS
            assert seen == sanitize(seen)
            assert len(seen) < 130


@given(words=st.lists(st.from_regex(r"[a-z][a-zß-öø-ÿ]{0,9}[a-z]", fullmatch=True), min_size=1))
def test_latin_words_are_mended_whole(words: list[str]) -> None:
    text = " ".join(words)
    wrong = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())
    assert mended(wrong) == text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("a cafÃ© in ZÃ¼rich", "a café in Zürich"),
        ("itâ€™s â€œhereâ€\x9d â€“ now â€¦", "it’s “here” – now …"),
        ("10 Â°C, 5 â‚¬, naÃ¯ve, dÃ©jÃ\xa0 vu", "10 °C, 5 €, naïve, déjà vu"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "Привет"),
        ("ðŸ˜€", "😀"),
        ("twice: itÃ¢â‚¬â„¢s", "twice: it’s"),
        ("ï»¿Begin", "Begin"),
        ("CAFÉ\u00a0! « déjà\u00a0» É” Â", "CAFÉ\u00a0! « déjà\u00a0» É” Â"),
    ],
)
def test_mended(wrong: str, right: str) -> None:
    assert mended(wrong) == right


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never ends, so the text stays", "]0;never ends, so the text stays"),
        ("a\x00b\tc\r\nd\x9b2Je", "ab\tc\r\nde"),
    ],
)
def test_without_control(text: str, left: str) -> None:
    assert without_control(text) == left


def test_without_invisible_keeps_what_scripts_need() -> None:
    assert without_invisible("mid\u200bdle\u00ad \ufeff\u202egnp") == "middle gnp"
    sound = "می\u200cخواهم 👨\u200d👩\u200d👧 שלום\u200f ภาษา\u200bไทย"
    assert without_invisible(sound) == sound


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Fish &amp; chips&nbsp;now", "Fish & chips now"),
        ("&amp;amp; &lt;b&gt; &eacute; &#233; &#xE9;", "& <b> é é é"),
        ("&unknown; &#27; &amp", "&unknown; &#27; &amp"),
    ],
)
def test_unescaped(text: str, left: str) -> None:
    assert unescaped(text) == left


def test_redacted() -> None:
    text = (
        f"Key {AWS}, login postgres://app:h7Gk2pQz@db7.shop.net/x, password: Xk9mQ2vLp7wz. "
        "Ask marta.kowalska@onet.pl or +49 30 23125847, phone: 030 2312584, pay to DE75512108001245126199."
    )
    assert redacted(text) == (
        "Key [secret], login postgres://app:[secret]@db7.shop.net/x, password: [secret] "
        "Ask [e-mail] or [phone number], phone: [phone number], pay to [IBAN]."
    )
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nabc\n-----END RSA PRIVATE KEY-----"
    assert redacted(f"a {key} b") == "a [secret] b"


def test_many_addresses_take_no_longer_than_they_must() -> None:
    text = "marta.kowalska@onet.pl " * 20_000
    assert redacted(text) == "[e-mail] " * 20_000
