"""Passwords, access keys and private keys, by the forms their makers gave them."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

from tui_ft.data.look import Look
from tui_ft.text import excerpt

REDACTED: Final = "[secret]"
# Below this many bits per character a value is a word or a placeholder rather than something random.
_RANDOM_BITS = 3.2
_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{30,}"  # Hugging Face
    r"|sk-(?=[A-Za-z0-9_-]*[0-9])(?:(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,})"  # OpenAI
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50,}"
    r"|gl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,}"  # GitLab
    r"|xox[abeoprs]-[0-9]{8,}-[A-Za-z0-9-]{10,}"  # Slack
    r"|xapp-[0-9]-[A-Z0-9]{8,}-[0-9]{8,}-[a-f0-9]{20,}"
    r"|[rs]k_live_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9+/]{30,}"  # Stripe
    r"|AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{30,}"  # Google
    r"|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{40,}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}"  # a JSON web token
    r")(?![A-Za-z0-9])"
)
_PRIVATE = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[A-Za-z0-9+/=\s:,.\\-]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?"
)
# scheme://user:password@host; a password of one word, such as those of manuals, is none.
_LOGIN = re.compile(
    r"\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|ftps?|sftp|ssh|smtps?|mssql|https?)"
    r"(?:\+[a-z0-9]+)?://[^\s:/@\"'<>\[\]]{1,60}:(?P<password>[^\s:/@\"'<>\[\]]{4,100})@(?P<host>[A-Za-z0-9.-]+)"
)
_ASSIGNED = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|account[_-]?key)"
    r"[\"']?\s{0,2}(?:=|:)\s{0,2}[\"']?(?P<value>[^\s\"'<>\[\](){},;$][^\s\"'<>\[\](){},;]{7,199})",
    re.I,
)
_MADE_UP = re.compile(
    r"example|your|xxx|\*\*\*|\.\.\.|placeholder|changeme|dummy|sample|fake|redacted|^secret|secret[_-]|[_-]secret|password|passw|1234|abcd|"
    r"test|demo|qwerty|insert|[_-]token|key_here|null|none|true|false|process\.env|os\.environ|getenv|config",
    re.I,
)
_MADE_ON_REQUEST = re.compile(
    r"generat\w+[ _](?:\w+[ _]){0,4}password|(?:random|strong|secure)[ _]password", re.I
)
_HOST_MADE_UP = re.compile(r"(?:^|\.)example\.|^localhost$|^127\.|^host|\.local$|^db$|^server", re.I)


def secrets(seen: Look) -> str | None:
    """Access keys, private keys, logins in addresses, and random values after "password=". Redacted."""
    whole, sketch = seen.whole, seen.sketch
    long_words = (seen.digits > 3 or b"_" in sketch or b"AKIA" in sketch) and seen.has_long_words()
    likely = (
        (long_words and _KEYS.search(_long_words(whole)) is not None)
        or (b"-----" in sketch and "PRIVATE KEY" in whole)
        or (b"://" in sketch and b"@" in sketch)
        or (seen.digits > 0 and (b"=" in sketch or b":" in sketch) and _names_a_secret(whole, long_words))
    )
    found = _first(seen.whole) if likely else None
    return found and f"{excerpt(found[:6], 6)}… ({len(found)} characters)"


def without_secrets(text: str) -> str:
    """The text with [secret] in the place of each password and key. Idempotent."""
    while (better := _redacted_once(text)) != text:
        text = better
    return text


def _long_words(text: str) -> str:
    return " ".join([word for word in text.split() if len(word) >= 20])


def _names_a_secret(text: str, long_words: bool) -> bool:
    if "assw" in text:
        return _MADE_ON_REQUEST.search(text) is None
    return long_words and any(name in text.lower() for name in ("key", "token", "secret", "pwd"))


def _first(text: str) -> str | None:
    for pattern in (_KEYS, _PRIVATE):
        for found in pattern.finditer(text):
            if _is_real_key(found):
                return found[0]
    for found in _LOGIN.finditer(text):
        if _is_real_login(found):
            return found["password"]
    return next((found["value"] for found in _ASSIGNED.finditer(text) if _is_random(found["value"])), None)


def _redacted_once(text: str) -> str:
    for pattern in (_KEYS, _PRIVATE):
        text = pattern.sub(lambda found: REDACTED if _is_real_key(found) else found[0], text)
    text = _LOGIN.sub(lambda found: _cut(found, "password") if _is_real_login(found) else found[0], text)
    return _ASSIGNED.sub(lambda found: _cut(found, "value") if _is_random(found["value"]) else found[0], text)


def _cut(found: re.Match[str], group: str) -> str:
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    return found[0][:start] + REDACTED + found[0][end:]


def _is_real_key(found: re.Match[str]) -> bool:
    text = found[0]
    if text.startswith("-"):
        return True
    filler = re.search(r"EXAMPLE|(?i:xxxx|your)|(.)\1{7}", text)
    return filler is None and len(set(text)) >= 6


def _is_real_login(found: re.Match[str]) -> bool:
    password = found["password"]
    if _MADE_UP.search(password) or _HOST_MADE_UP.search(found["host"]) or "$" in password or "{" in password:
        return False
    return any(map(str.isdigit, password)) and any(map(str.isalpha, password))


def _is_random(value: str) -> bool:
    """Letters and digits without a pattern: what a machine or a careful person makes up."""
    if _MADE_UP.search(value) or not any(map(str.isdigit, value)) or not any(map(str.isalpha, value)):
        return False
    if re.fullmatch(r"[\w.]*[a-z_]\(?[\w.]*", value) and not re.search(
        r"[A-Z].*\d|\d.*[A-Z]|\d[a-z]+\d", value
    ):
        return False  # a name in code, such as config.password2
    shares = [number / len(value) for number in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) >= min(
        _RANDOM_BITS, math.log2(len(value)) * 0.8
    )
