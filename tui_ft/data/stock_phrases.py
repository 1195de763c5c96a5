"""Answers that refuse, speak of themselves as a machine, or open the way chat assistants do. English only."""

from __future__ import annotations

import re

from tui_ft.data.look import Look
from tui_ft.text import excerpt

_WIDTH = 90
_BEGINNING = 250
_SORRY = (
    r"(?:(?:i['’]?m|i am|we['’]re) (?:so |very |truly |really )?sorry|sorry|my apologies|i apologi[sz]e"
    r"|apologies|unfortunately)"
)
_CANNOT = (
    r"i(?:['’]m| am)? (?:can(?:not|['’]?t| not)|unable to|not able to|won['’]t be able to|will not be able to"
    r"|must decline to|do(?:n['’]t| not) (?:currently )?have (?:the )?"
    r"(?:ability|capabilit(?:y|ies)|capacity|permission|means|access) to)"
)
_DOING = (
    r"(?:directly |personally |currently |really |provide |help |assist |with |you |to )*"
    r"(?:fulfil\w*|assist|help|comply|provide|answer|generate|create|write|produce|complete|perform|support"
    r"|engage|discuss|offer|participate|access|browse|process|book|order|execute|carry out|respond|promote"
    r"|encourage|recommend|predict|do (?:that|this|so)|share|give|with)\b"
)
_REFUSAL = re.compile(
    rf"\s*(?:(?:{_SORRY}[^.!?\n]{{0,60}}?[ ,]|as an ai[^.!?\n]{{0,60}}?[ ,])(?:but )?)?{_CANNOT} {_DOING}"
    rf"|\s*{_SORRY},? (?:but )?(?:as an?|i am an?|i['’]m an?) (?:ai|artificial|(?:large )?language)\b"
    rf"|\s*{_SORRY},? (?:but )?(?:this|that|the) (?:request|question|content)[^.!?\n]{{0,40}} "
    r"(?:violates|goes against|is against|is not something i)",
    re.I,
)
_AS_AN_AI = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)"
    r"(?:[ -](?:language|assistant|model|chatbot|system|program|bot|text|based|powered|developed|created"
    r"|trained|by|openai))*"
    r"[, ]+(?:i|my|it['’]s|it is)\b"
    r"|\bi(?:['’]m| am) (?:just |only )?an? (?:ai |large )?language model\b"
    r"",
    re.I,
)
_OPENING = re.compile(
    r"\s*(?:sure(?: thing)?|certainly|of course|absolutely|great question|definitely|no problem)\s?[!,.:] ?"
    r"(?:here(?:['’]s| is| are)|i(?:['’]d| would| can|['’]ll| will)|let(?:['’]s| me)|below|the following)\b",
    re.I,
)


def refusals(seen: Look) -> str | None:
    """An answer that begins by declining."""
    return next((excerpt(a, _WIDTH) for a in seen.answers if _REFUSAL.match(a[:_BEGINNING])), None)


def ai_phrases(seen: Look) -> str | None:
    """ "As an AI language model, I …" anywhere in an answer."""
    capitals = b"AI" in seen.sketch
    for answer in seen.answers:
        likely = capitals or "language model" in answer[:_BEGINNING]
        if likely and _names_an_ai(answer.lower()) and (found := _AS_AN_AI.search(answer)):
            return excerpt(answer[found.start() : found.end() + 60], _WIDTH)
    return None


def _names_an_ai(small: str) -> bool:
    """Whether a text in small letters has what no match of the pattern lacks."""
    return " ai" in small or "language model" in small or "artificial intelligence" in small


def stock_openings(seen: Look) -> str | None:
    """An answer that begins with "Sure! Here is …" or the like."""
    return next((excerpt(a, _WIDTH) for a in seen.answers if _OPENING.match(a[:80])), None)
