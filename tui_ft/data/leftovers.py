"""What other programs and unfinished work leave in texts: markup, entities, placeholders."""

from __future__ import annotations

import html
import re
from html.entities import html5

from tui_ft.data.look import Look
from tui_ft.text import excerpt

_TAG = re.compile(
    r"<(?:br|hr)\s*/?>|</(?:p|div|span|a|li|ul|ol|td|tr|th|table|tbody|font|center|strong|em|h[1-6])>"
    r"|<(?:div|span|font|img|a|p|td|table)\s+(?:class|style|id|href|src|align|width|color|face|size)=[^<>]{0,300}>",
    re.I,
)
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
# Whoever speaks of these writes markup on purpose.
_ABOUT_MARKUP = re.compile(
    r"```|<!doctype|<html|<\?xml|\b(?:x?html5?|xml|css|svg|markup|tags?|web ?(?:site|page|app\w*)s?"
    r"|javascript|js|jsx|react|vue|angular|php|jsp|django|flask|browser|element|entit(?:y|ies)|escap\w+|scrap\w+|selenium"
    r"|dom|hyperlink|tooltip|wiki\w*|markdown|jinja|template)\b",
    re.I,
)

# Each with what has to be in the sketch before the pattern is worth a try.
_YOUR = re.compile(r"\[(?i:your) [A-Za-z][A-Za-z' /-]{1,40}\]")
_UNFILLED = (
    (b"TODO", re.compile(r"(?m:^[ \t]*TODO\b(?! [Ll]ist))|\bTODO:")),
    (b"FIXME", re.compile(r"(?m:^[ \t]*FIXME\b)|\bFIXME:")),
    (b"TBD", re.compile(r"(?m:^[ \t]*TBD\b)")),
    (b"PLACEHOLDER", re.compile(r"\bPLACEHOLDER_?[A-Z]*\b")),
    (b"[", re.compile(r"\[(?:(?i:insert|placeholder|fill in)|TODO|TBD)\b[^\[\]\n]{0,60}\]")),
    (b"[", _YOUR),
    (b"<", re.compile(r"<(?i:your|insert)[ _-]?[A-Za-z][A-Za-z _-]{1,40}>")),
    (b"{{", re.compile(r"(?<![${#%\\])\{\{ ?[A-Za-z_][A-Za-z0-9_. -]{0,40} ?\}\}(?!\})")),
)
# A letter that is to be drafted is signed by whoever sends it.
_FOR_SOMEBODY = re.compile(
    r"\b(?:letter|e-?mail|mail|message|speech|resume|cv|cover|proposal|invitation|contract|agreement|memo|note|draft"
    r"|compose|write|create|generate|rewrite|edit|post|form|script|pitch|review|statement|bio|thank|apolog\w+)\b",
    re.I,
)
# Code, and texts about templates and lists of tasks, have their own use for these.
_ABOUT_TEMPLATES = re.compile(
    r"```|\b(?:templates?|templating|jinja2?|handlebars|mustache|liquid|vue|angular|helm|ansible|django|twig"
    r"|latex|placeholders?|variables?|lorem|lipsum|todos?|to-do|f-string|github actions|workflow|yaml|syntax"
    r"|code|function|script|html|query|sql|api|json|bash|command|curl|python|java|javascript|usage:)\b"
    r"|[;{]\s*$|^\s*(?:def|class|import|from|#include|//) ?",
    re.I | re.M,
)


def html_remnants(seen: Look) -> str | None:
    """Tags and entities in texts that have nothing to do with markup."""
    whole = seen.whole
    found = _TAG.search(whole) if "<" in whole else None
    if found is None and "&" in whole:
        found = next((entity for entity in _ENTITY.finditer(whole) if _meaning(entity) != entity[0]), None)
    if found is None or _ABOUT_MARKUP.search(whole):
        return None
    return _near(whole, found)


def placeholders(seen: Look) -> str | None:
    """Blanks that nobody filled in: TODO, lorem ipsum, {{name}}, [INSERT …], <your name>."""
    whole, sketch = seen.whole, seen.sketch
    if "orem ipsum" in whole and not _ABOUT_TEMPLATES.search(whole.replace("orem ipsum", "")):
        return excerpt(whole[max(0, whole.index("orem ipsum") - 25) :], 60)
    for hint, pattern in _UNFILLED:
        if hint in sketch and (found := pattern.search(whole)):
            if pattern is _YOUR and _FOR_SOMEBODY.search(seen.asked):
                continue
            around = f"{whole[: found.start()]} {whole[found.end() :]}"
            return None if _ABOUT_TEMPLATES.search(around) else _near(whole, found)
    return None


def unescaped(text: str) -> str:
    """The text with HTML entities as the characters they stand for. Idempotent.

    A no-break space becomes a blank; entities that are unknown, or stand for a control character, stay.
    """
    while (better := _ENTITY.sub(_meaning, text)) != text:
        text = better
    return text


def trimmed(text: str) -> str:
    """The text without blanks and empty lines around it."""
    return text.strip()


def _meaning(entity: re.Match[str]) -> str:
    name = entity[0][1:]
    char = html.unescape(entity[0]) if name[0] == "#" or name in html5 else entity[0]
    if char == "\N{NO-BREAK SPACE}":
        return " "
    return char if char and char.isprintable() and char != "\N{REPLACEMENT CHARACTER}" else entity[0]


def _near(text: str, found: re.Match[str]) -> str:
    return excerpt(text[max(0, found.start() - 25) : found.end() + 15])
