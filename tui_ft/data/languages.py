"""The language of a text, as far as letters and small words tell.

Knows the Latin-written languages of `_SMALL_WORDS` by their most frequent small words, and others by their
letters only: a text in Cyrillic letters may be Russian or Bulgarian. Short or mixed texts and code have no
language here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from tui_ft.data.places import Places
from tui_ft.data.rows import Row
from tui_ft.data.tally import Tally
from tui_ft.text import count, percent

# Frequent words that no other language in this table shares.
_SMALL_WORDS: Final[Mapping[str, str]] = {
    "English": "the and of that with this from have which you what how they their can are your been would it "
    "there when where why were has had does did who his about into than them these those should "
    "could only please our any some because",
    "German": "der und ist nicht ein eine einen auf für sich auch werden oder sind dem wird kann ich sie wir "
    "im zum zur vom von mit nach wenn aber mein meine ihr ihre bitte wurde haben diese dieser kein "
    "keine mehr über unter noch nur wo wie durch sehr hier dann weil beim einer eines neben hinter",
    "French": "les est et une dans vous nous avec cette sont être ou ont leur ces elle c'est au aux pas où "
    "votre notre mon mes ses très pour sur comme fait n'est j'ai d'une je",
    "Spanish": "el los las y está pero hay muy también sus más este cómo qué dónde ¿cómo ¿qué ¿dónde cuando "
    "donde tiene puede esto fue una por para como con",
    "Italian": "il che è della gli sono nel nella anche più questo dei delle alla di dove perché cosa può "
    "dal dalla degli per una con",
    "Portuguese": "os uma não são você ao pela pelo também muito isso seu sua em dos onde meu minha foi tem "
    "já até por para como",
    "Dutch": "het een niet zijn voor ook deze wordt naar worden kunnen dat bij uit van je maar waar hoe mijn "
    "heeft hebben nog",
    "Swedish": "och att är inte från även som det på för av till ett har jag",
    "Polish": "się że jest oraz przez który są także można od dla nie jak czy ale",
    "Turkish": "bir ve için ile olarak çok gibi olan daha bu ne nasıl değil",
    "Indonesian": "yang dan untuk dengan adalah ini itu dari dalam tidak pada apa",
}
_SHARED: Final = Counter(word for words in _SMALL_WORDS.values() for word in words.split())
_LANGUAGE_OF: Final[Mapping[str, str]] = {
    word: language for language, words in _SMALL_WORDS.items() for word in words.split() if _SHARED[word] == 1
}
_LETTERS: Final = (
    (0x0370, 0x03FF, "Greek"), (0x0400, 0x052F, "a language in Cyrillic letters"), (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "a language in Arabic letters"), (0x0900, 0x097F, "a language in Devanagari letters"),
    (0x0E00, 0x0E7F, "Thai"), (0x3040, 0x30FF, "Japanese"), (0x4E00, 0x9FFF, "Chinese"),
    (0xAC00, 0xD7AF, "Korean"),
)  # fmt: skip
_SAMPLE = 300
_MOST_WORDS = 40
_SHORT = 60
_FEWEST_WORDS = 6
_FEWEST_HITS = 3
_LEAST_SHARE = 0.15

# Whoever speaks of languages may want another one.
_ABOUT_LANGUAGES = re.compile(
    r"translat|langu|übersetz|sprache|tradu|idiom|lingua|língua|vertaal|överstätt|tłumacz|terjemah|çevir|"
    r"english|german|french|spanish|italian|portuguese|dutch|swedish|polish|turkish|indonesian|russian|chinese|"
    r"mandarin|japanese|korean|arabic|hebrew|greek|hindi|thai|latin|deutsch|englisch|français|anglais|español|"
    r"inglés|bilingual|翻译|翻譯|英文|英语|英語|翻訳|번역|영어|перев|англий|ترجم",
    re.I,
)
# Rows with another language than usual are exceptions up to this share, and a habit beyond.
_EXCEPTIONS = 0.1
_STRAY = 0.05
_FEWEST_KNOWN = 50


def language_of(text: str) -> str | None:
    """The language a text begins in, None where that is not clear."""
    sample = text[:_SAMPLE]
    if sample.count(" the ") + sample.count(" and ") + sample.count(" of ") >= 3 + len(sample) // _SAMPLE:
        return "English"
    # Letters other than Latin ones take two bytes or three.
    if not sample.isascii() and len(sample.encode()) > 1.4 * len(sample):
        return _by_letters(sample)
    words = sample.lower().split(None, _MOST_WORDS)
    if len(words) < _FEWEST_WORDS or _LANGUAGE_OF.keys().isdisjoint(words):
        return None
    hits = [_LANGUAGE_OF[word] for word in words if word in _LANGUAGE_OF]
    if len(hits) < max(_FEWEST_HITS, _LEAST_SHARE * len(words)):
        return None
    language = max(set(hits), key=hits.count)
    return language if hits.count(language) >= 0.75 * len(hits) else None


class Languages:
    """Watches the languages of questions, and answers in another one."""

    def __init__(self) -> None:
        self._places: dict[str, Places] = {}
        self._known = 0
        self._answered = 0
        self._differing = Tally()

    def see(self, row: Row) -> None:
        """Look at what a row asks and answers, or at its text."""
        asked = row.text if row.text is not None else _question(row)
        language = language_of(asked)
        # A short question tells less than its answer.
        if language is None and len(asked) > _SHORT:
            return
        answered = language_of(row.answer) if row.text is None else None
        language = language or answered
        if language is None:
            return
        self._known += 1
        places = self._places.get(language)
        if places is None:
            places = self._places[language] = Places()
        places.add(row.file, row.line)
        if answered is None:
            return
        self._answered += 1
        if answered != language and not _ABOUT_LANGUAGES.search(" ".join(t["content"] for t in row.messages)):
            words = f"asked in {language}, answered in {answered}: {row.answer[:50]}"
            self._differing.add("answer-language", row.file, row.line, words)

    def merge(self, other: Languages) -> None:
        """Add what another saw in the rows after those seen here."""
        self._known += other._known
        self._answered += other._answered
        self._differing.merge(other._differing)
        for language, places in other._places.items():
            self._places.setdefault(language, Places()).merge(places)

    def state(self, tally: Tally) -> None:
        """Exceptions only: data in several languages, or with answers in another one, are that on purpose."""
        if 0 < self._differing["answer-language"] <= _EXCEPTIONS * self._answered:
            tally.merge(self._differing)
        stray = {
            language: places
            for language, places in self._places.items()
            if places.count <= _STRAY * self._known
        }
        number = sum(places.count for places in stray.values())
        # Several languages, each with many rows, are data in several languages, whatever else there is.
        one_usual = len(self._places) == len(stray) + 1
        if self._known < _FEWEST_KNOWN or not one_usual or not 0 < number <= _STRAY * self._known:
            return
        for language, places in stray.items():
            places.tell(tally, "stray-languages", language)
        usual = max(self._places.items(), key=lambda item: item[1].count)
        what = f"{count(number, 'row')} {'is' if number == 1 else 'are'} in another language than the others"
        share = f"{percent(usual[1].count / self._known, digits=1)} of those that are clear are in {usual[0]}"
        tally.state("stray-languages", number, what=f"{what}: {share}.")


def _question(row: Row) -> str:
    """The last thing a user says."""
    for turn in reversed(row.messages):
        if turn["role"] == "user":
            content: str = turn["content"]
            return content
    return ""


def _by_letters(sample: str) -> str | None:
    """The language whose letters make up most of what is no blank; every fourth character is looked at."""
    some = [ord(char) for char in sample[::4] if not char.isspace()]
    found = Counter(
        name for code in some if code > 0x36F for low, high, name in _LETTERS if low <= code <= high
    )
    if found["Japanese"]:
        found["Japanese"] += found.pop("Chinese", 0)
    name, number = max(found.items(), key=lambda item: item[1], default=("", 0))
    return name if number >= 4 and number > 0.5 * len(some) else None
