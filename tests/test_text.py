import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft import text


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;aGk=\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("a\x00b\x07c", "abc"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 3),
        ("tab\tand\nline", "tab and line"),
        ("naïve — 日本語", "naïve — 日本語"),
        ("[bold]markup[/x]", "[bold]markup[/x]"),
    ],
)
def test_sanitize_removes_what_a_terminal_would_obey(raw: str, safe: str) -> None:
    assert text.sanitize(raw) == safe


def test_sanitize_keeps_lines_when_asked() -> None:
    assert text.sanitize("a\nb\tc", multiline=True) == "a\nb c"


@given(st.text())
def test_sanitize_is_idempotent_and_leaves_no_control_characters(raw: str) -> None:
    safe = text.sanitize(raw, multiline=True)
    assert text.sanitize(safe, multiline=True) == safe
    assert not any((ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in safe)


@given(st.text(), st.integers(1, 80))
def test_excerpt_is_one_line_of_at_most_the_width(raw: str, width: int) -> None:
    line = text.excerpt(raw, width)
    assert len(line) <= width
    assert "\n" not in line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (float("inf"), "unknown"),
        (8, "8 s"),
        (65, "1 min 05 s"),
        (1234, "21 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds: float | None, words: str) -> None:
    assert text.duration(seconds) == words


def test_sizes_and_counts() -> None:
    assert text.gib(None) == "unknown"
    assert text.gib(8.4 * text.GIB) == "8.4 GiB"
    assert text.size(512) == "512 B"
    assert text.size(3 << 20) == "3 MiB"
    assert text.count(1, "row") == "1 row"
    assert text.count(1204, "row") == "1,204 rows"
    assert text.parameters(134_515_008) == "135M"
    assert text.parameters(8_030_261_248) == "8.03B"
    assert text.percent(0.625, digits=1) == "62.5 %"
    assert text.percent(None) == "unknown"


def test_nearest_prefers_close_names_and_ignores_case() -> None:
    assert text.nearest("Epoch", ["epochs", "rank"]) == ["epochs"]
    assert text.nearest("xyz", ["epochs", "rank"]) == []
    assert text.nearest("smollm", ["HuggingFaceTB/SmolLM2-135M-Instruct"]) == [
        "HuggingFaceTB/SmolLM2-135M-Instruct"
    ]
