"""Personal data: addresses, numbers of phones, cards, accounts and people, as precisely as forms allow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from tui_ft.data.look import Look
from tui_ft.text import excerpt

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+/:@=-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,5}[A-Za-z]{2,18}(?![A-Za-z0-9@:/-])"
)
# Nobody lives there, and nobody in particular reads what is sent to a post.
_NO_DOMAIN = re.compile(
    r"(?:^|\.)(?:e?xample[\w-]*|test[\w-]*|domain|email|e-?mail|mail|yourdomain|your\w+|my\w*(?:domain|company|site)|company|"
    r"companyname|business|website|site|somewhere|acme\w*|abc|xyz|foo|bar|fake\w*|sample\w*|placeholder|provider|server|host|"
    r"localhost|school|university|organi[sz]ation|users\.noreply\.github)\.[a-z.]+$|\.(?:example|test|invalid|local|localhost)$"
    r"|\.(?:png|jpe?g|gif|svg|js|css|py|md|json|txt|html?)$",
    re.I,
)
_NO_NAME = re.compile(
    r"(?:info|support|sales|contact|admin\w*|no-?reply|help\w*|hello|office|webmaster|postmaster|abuse|service|security|"
    r"customer\w*|enquir\w+|inquir\w+|jobs?|careers|hr|press|media|team|mail|email|marketing|billing|orders?|feedback|news\w*|"
    r"privacy|legal|bookings?|reservations?|reception|user\w*|name|first\w*|last\w*|your\w*|me|someone|somebody|username|test\w*|"
    r"example|sample|foo|bar|abc|xyz|git|root|recipient|sender|john[._-]?(?:doe|smith)\w*|jane[._-]?(?:doe|smith)\w*|"
    r"j\.?doe|max\.?mustermann|alice|bob|johnd|janed|[a-z])\d{0,4}",
    re.I,
)
# What a number may not follow, nor be followed by: then it is a price, a sum, a version or part of a name.
_BEFORE, _AFTER = r"(?<![\w.,+$€£#/=:%-])", r"(?![\w$€£%]|[.,-]\d)"
_WORLD_PHONE = re.compile(
    r"\+(?<![\w.,$€£#/=:%)-]\+)[1-9]\d{0,2}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d{1,5}(?:[ ./-]?\d{2,5}){1,4}"
    + _AFTER
)
_NORTH_PHONE = re.compile(
    rf"{_BEFORE}(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[.-]\d{{4}}{_AFTER}"
)
_NAMED_PHONE = re.compile(
    r"(?i:\b(?:tele(?:phone|fon)|tel|phone|mobile?|cell|call(?: me| us)?(?: at| on)?|fax|whatsapp|handy)\b)"
    r"[.:]{0,2}(?: (?:no|number|nr)\.?:?)? ?"
    rf"(?P<number>(?:\(0\d{{1,5}}\) ?|0\d{{1,5}}[ /-])\d{{2,8}}(?:[ -]?\d{{2,6}}){{0,3}}){_AFTER}"
)
# 555-0… is the exchange of films, 800 and its like are those of firms, and nobody is called 1234567.
_FICTION = re.compile(r"5550\d{3}$|^0\d*555\d{4}$|^1234567|(\d)\1{5}|^1?8(?:00|33|44|55|66|77|88)\d{7}$")
_COUNTED = re.compile(r"(?<!\d)1234567")
_CARD = re.compile(
    r"(?<![\w.,+-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-]|\.\d)"
)
_CARD_WORDS = re.compile(
    r"\b(?:cards?|visa|mastercard|amex|american express|credit|debit|cvv|cvc|expir\w+)\b", re.I
)
_CARD_MAKERS = re.compile(r"4\d{15}$|5[1-5]\d{14}$|2[2-7]\d{14}$|3[47]\d{13}$|6(?:011|5\d\d)\d{12}$")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
# Countries by the length of their account numbers, from the IBAN registry.
_IBAN_COUNTRIES: Final = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS",
    23: "AE GI IL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "PT",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ CY DO GT HU LB PL",
    29: "BR PS QA UA",
    30: "JO KW MU",
    31: "MT",
}
_SOCIAL = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
# Known from adverts, and made up by everybody: taken for real only where they are called that.
_SOCIAL_MADE_UP: Final = frozenset(
    ["078-05-1120", "219-09-9999", "123-45-6789", "111-11-1111", "555-55-5555"]
)
_SOCIAL_WORDS = re.compile(r"\bssn\b|social security", re.I)
_IP = re.compile(r"(?<![\w.,/-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IP_WORDS = re.compile(r"\b(?:ip|ips|ipv4|visitor|client|login|logged|user|remote)\b", re.I)


_Real = Callable[[str, re.Match[str]], bool]
_FEWEST_DIGITS = 7
_SMALL: Final = b"abcdefghijklmnopqrstuvwxyz"
# Digits as 1, capitals as A: what each kind of number has to have, looked for before its pattern is tried.
_SHAPES: Final = bytes(
    ord("1") if chr(byte).isdecimal() else ord("A") if 65 <= byte <= 90 else byte for byte in range(256)
)


def personal_data(seen: Look) -> str | None:
    """The first piece of personal data, redacted."""
    if seen.digits < _FEWEST_DIGITS and b"@" not in seen.sketch:
        return None
    if (found := next(_found(seen.whole), None)) is None:
        return None
    kind, text = found
    return f"{kind} {excerpt(text[:2], 2)}… ({len(text)} characters)"


def without_personal_data(text: str) -> str:
    """The text with [e-mail], [phone number] and so on in the place of personal data. Idempotent."""
    while (better := _redacted_once(text)) != text:
        text = better
    return text


def _found(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each piece."""
    shapes = text.encode().translate(_SHAPES, _SMALL)
    for kind, hints, pattern, is_real in _KINDS:
        if any(hint in text if isinstance(hint, str) else hint in shapes for hint in hints):
            for found in pattern.finditer(text):
                piece = found[_group(pattern)]
                if is_real(piece, found):
                    yield kind, piece


def _redacted_once(text: str) -> str:
    for kind, _, pattern, is_real in _KINDS:
        group = _group(pattern)

        def redact(
            found: re.Match[str], kind: str = kind, group: int | str = group, real: _Real = is_real
        ) -> str:
            if not real(found[group], found):
                return found[0]
            return found[0][: found.start(group) - found.start()] + f"[{kind}]"

        text = pattern.sub(redact, text)
    return text


def _group(pattern: re.Pattern[str]) -> int | str:
    """The part of a match that is the piece; where there is one, it ends the match."""
    return "number" if "number" in pattern.groupindex else 0


def _is_email(piece: str, found: re.Match[str]) -> bool:
    name, _, domain = piece.partition("@")
    return not _NO_DOMAIN.search(domain) and not _NO_NAME.fullmatch(name)


def _is_phone(piece: str, found: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", piece)
    if _FICTION.search(digits) or _COUNTED.search(piece) or not 8 <= len(digits) <= 15:
        return False
    # A sum has a plus before its last line as well.
    bare = piece[0] == "+" and piece[1:].isdecimal()
    return not bare or (len(digits) <= 13 and not found.string[: found.start()].rstrip()[-1:].isdecimal())


def _is_card(piece: str, found: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", piece)
    if not _CARD_MAKERS.match(digits):
        return False
    around = found.string[max(0, found.start() - 80) : found.end() + 80]
    if piece.isdecimal() and not _CARD_WORDS.search(around):
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(number // 10 + number % 10 for number in doubled)) % 10 == 0


def _is_iban(piece: str, found: re.Match[str]) -> bool:
    bare = piece.replace(" ", "")
    if bare[:2] not in _IBAN_COUNTRIES.get(len(bare), "").split():
        return False
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def _is_social(piece: str, found: re.Match[str]) -> bool:
    return piece not in _SOCIAL_MADE_UP or bool(
        _SOCIAL_WORDS.search(found.string, max(0, found.start() - 40), found.start())
    )


def _is_address(piece: str, found: re.Match[str]) -> bool:
    """A public IP address that somebody speaks of as one; four numbers may as well be a version."""
    a, b, c, d = map(int, piece.split("."))
    reserved = (
        a in (0, 10, 127) or a >= 224 or (a, b) in ((192, 168), (169, 254), (198, 18), (198, 19))
        or (a == 172 and 16 <= b < 32) or (a == 100 and 64 <= b < 128)
        or (a, b, c) in ((192, 0, 2), (198, 51, 100), (203, 0, 113))
    )  # fmt: skip
    known = piece in ("1.1.1.1", "8.8.8.8", "8.8.4.4", "1.0.0.1", "9.9.9.9", "1.2.3.4", "208.67.222.222")
    if max(a, b, c, d) > 255 or reserved or known or d == 0:
        return False
    return _IP_WORDS.search(found.string, max(0, found.start() - 40), found.start()) is not None


# Kind; what has to be in the text (str) or among its shapes (bytes); pattern; what a match has to pass.
_KINDS: Final[tuple[tuple[str, tuple[bytes | str, ...], re.Pattern[str], _Real], ...]] = (
    ("e-mail", (b"@",), _EMAIL, _is_email),
    ("card number", (b"11111111111111", b"1111 1111 11", b"1111-1111-11", b"1111 111111 1"), _CARD, _is_card),
    ("IBAN", (b"AA11",), _IBAN, _is_iban),
    ("social security number", (b"111-11-1111",), _SOCIAL, _is_social),
    ("IP address", (b".1.1", b".11.1", b".111.1"), _IP, _is_address),
    ("phone number", (b"+1",), _WORLD_PHONE, _is_phone),
    ("phone number", (b"-111-1111", b" 111-1111", b")111-1111", b".111.1111"), _NORTH_PHONE, _is_phone),
    ("phone number", ("(0", " 0"), _NAMED_PHONE, _is_phone),
)
