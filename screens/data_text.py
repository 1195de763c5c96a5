"""A dataset report as text, and what a limit on the length would cut. Pure."""

from __future__ import annotations

from pathlib import Path

from textual.content import Content

from tui_ft.data.describe import severities, verdict
from tui_ft.data.rows import DatasetReport, Finding, Lengths
from tui_ft.text import count, excerpt, percent

from .ink import GOOD, MUTED, STRONG, WARN, facts, hang, ink, join, mark, prose, spread, stack
from .widgets.bar import histogram

SHAPES = {
    "messages": "conversations (messages)",
    "sharegpt": "conversations (ShareGPT)",
    "alpaca": "instructions (Alpaca)",
    "prompt-completion": "prompt and answer pairs",
    "text": "plain text",
    "preference": "preference pairs",
    "kto": "answers marked good or bad",
    "unknown": "rows of an unknown shape",
}
_LOOKS = {
    "json": "are JSON",
    "label": "are short labels",
    "short": "are short texts",
    "long": "are long texts",
    "none": "",
}


def describe(report: DatasetReport, limit: int | None, tried: int | None, width: int) -> list[Content]:
    """The report as text. `limit` is the recipe's length limit, `tried` one that is being looked at."""
    name = ", ".join(Path(path).name for path in report.paths[:3])
    used = "" if report.usable_rows == report.rows else f", {report.usable_rows:,} of them usable"
    title = spread(ink(name, STRONG), ink(f"{count(report.rows, 'row')}{used}"), width)
    style = WARN if report.blocked else "" if report.findings else GOOD
    lines = [title, *hang("", ink(verdict(report), style), width), Content("")]
    lines += facts(_rows(report), width) + _lengths(report, limit, tried, width)
    if not report.findings:
        return lines
    lines += [Content(""), ink(f"{severities(report)}:", MUTED)]
    for finding in report.findings:
        accepted = ink("   accepted", MUTED) if finding.ignored else Content("")
        lines += hang(join(mark(severity(finding)), " "), join(ink(finding.what), accepted), width)
        if finding.blocks:
            lines += hang("  ", prose(finding.fix, MUTED), width)
    return lines


def _rows(report: DatasetReport) -> list[tuple[str, Content | str]]:
    """Shape and mapping with an example, how answers look, the split."""
    mapping = report.mapping
    mapped = ", ".join(p if p == column else f"{p} ← {column}" for p, column in mapping.columns.items())
    unsure = "" if mapping.confident else "   a guess: m corrects it"
    rows: list[tuple[str, Content | str]] = [
        ("rows are", join(SHAPES[mapping.shape], ink(f"   {mapped}", MUTED), ink(unsure, "$warn"))),
    ]
    if not mapping.confident:
        rows += [("", ink(f"{p}: {excerpt(text, 50)}", MUTED)) for p, text in mapping.preview.items()]
    if _LOOKS[report.answers_look_like]:
        typical = f"typically {report.median_answer_characters:,} characters"
        rows.append(("answers", f"{_LOOKS[report.answers_look_like]}, {typical}"))
    sizes, dot = report.sizes, ink(" · ", MUTED)
    held = (
        f"{sizes.train:,} to learn from",
        f"{sizes.validation:,} to watch",
        f"{sizes.test:,} to compare with",
    )
    rows.append(("split", join(held[0], dot, held[1], dot, held[2])))
    return rows


def _lengths(report: DatasetReport, limit: int | None, tried: int | None, width: int) -> list[Content]:
    lengths = report.lengths
    if lengths is None:
        why = "unknown until the model's tokenizer is on this machine"
        return facts([("tokens", ink(why, MUTED))], width)
    share = lengths.answer_tokens / lengths.total_tokens if lengths.total_tokens else None
    told = f"{lengths.total_tokens:,}, of which {percent(share)} are learned from"
    spread_out = f"half ≤ {lengths.percentile(0.5):,} · 99 % ≤ {lengths.percentile(0.99):,} · longest "
    spread_out += f"{max(lengths.lengths, default=0):,}"
    rows: list[tuple[str, Content | str]] = [("tokens", told), ("lengths", spread_out)]
    shown = tried or limit
    bars = histogram(lengths.lengths, min(60, width - 11), shown)
    drawn = facts(rows, width) + [join(" " * 11, bar) for bar in bars]
    in_pieces = report.mapping.shape == "text"
    return drawn + facts([("limit", _limit(lengths, limit, tried, in_pieces=in_pieces))], width)


def _limit(lengths: Lengths, limit: int | None, tried: int | None, *, in_pieces: bool) -> Content:
    """What the limit cuts, and the keys that move it."""
    shown = tried or limit
    if shown is None:
        return ink("chosen by the plan; ←→ tries one out", MUTED)
    cut = lengths.cut_at(shown)
    kept = percent(1 - cut / len(lengths.lengths), digits=1) if lengths.lengths else "-"
    told = (
        f"{shown:,} tokens keep {kept} whole, cut {count(cut, 'row')}"
        if cut
        else f"{shown:,} tokens cut nothing"
    )
    keys = "   l takes it" if tried not in (None, limit) else "   yours; ←→ tries others"
    return join(told, ink(keys, MUTED))


def limits(lengths: Lengths) -> list[int]:
    """Limits worth trying, up to the first that cuts nothing."""
    longest = max(lengths.lengths, default=0)
    steps = sorted({64, *(1 << n for n in range(7, 21)), *(3 << n for n in range(6, 20))})
    below = [step for step in steps if step < longest]
    return [*below, -(-longest // 64) * 64] if longest else []


def finding_text(finding: Finding) -> Content:
    """A finding with why it hurts, what to do, and where it is."""
    lines: list[Content | str] = [
        prose(finding.why),
        "",
        join(ink("What to do  ", MUTED), prose(finding.fix)),
        "",
    ]
    for example in finding.examples:
        lines.append(join(ink(f"{Path(example.file).name}:{example.line}  ", MUTED), prose(example.excerpt)))
    if finding.count > len(finding.examples) > 0:
        lines.append(ink(f"and {finding.count - len(finding.examples):,} more", MUTED))
    lines += ["", ink(f'To accept it: ignore = ["{finding.id}"] in [data] of the recipe.', MUTED)]
    return stack(lines)


def severity(finding: Finding) -> str:
    """What it counts as now: an accepted finding is only a note."""
    return "info" if finding.ignored else finding.severity
