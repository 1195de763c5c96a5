"""A model's tokenizer and chat template without torch or transformers.

Everything outside the training worker counts and shows tokens through this: `tokenizer.json` by the
tokenizers library, the template by `chat_template`. A test compares texts and ids with transformers.

Training must load `transformers.PreTrainedTokenizerFast.from_pretrained(folder)` to get the same ids:
AutoTokenizer 5.x builds classes such as GPT2Tokenizer anew from vocabulary and merges and drops how the
file says to split a text, e.g. SmolLM2's single digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from tui_ft.errors import InputError
from tui_ft.models import chat_template
from tui_ft.models.chat_template import Span
from tui_ft.models.reading import load_templates, read_object
from tui_ft.text import excerpt

# Encodings keep offsets, masks and words: a bounded number of them is alive at once.
_BATCH = 1024


@dataclass(frozen=True)
class ChatTokenizer:
    """Text to token ids and conversations to text, for one model. Safe to share between threads."""

    folder: Path
    templates: Mapping[str, str]  # by name; a single template is "default"
    special_tokens: Mapping[str, str]  # e.g. {"eos_token": "<|im_end|>"}; what templates see
    stop_ids: tuple[int, ...]  # any of these ends an answer
    _backend: Tokenizer = field(repr=False, compare=False)

    @classmethod
    def load(cls, folder: Path) -> ChatTokenizer:
        """Read `tokenizer.json`, the template and the special tokens of a model folder.

        Raises InputError when a file is missing, damaged, or of a kind that needs converting.
        """
        backend = _backend(folder)
        config = read_object(folder / "tokenizer_config.json")
        special = _special_tokens(folder, config)
        _add_missing(backend, config, special)
        eos = backend.token_to_id(special["eos_token"]) if "eos_token" in special else None
        return cls(folder, load_templates(folder, config), special, _stop_ids(folder, eos), backend)

    def with_template(self, template: str) -> ChatTokenizer:
        """The same tokenizer with another chat template."""
        return replace(self, templates={"default": template})

    # -- conversations

    @property
    def template(self) -> str | None:
        """The chat template used without tools, as jinja2 source; None when the model has none."""
        return self.templates.get("default")

    @property
    def has_template(self) -> bool:
        """True when the model knows how a conversation is written."""
        return bool(self.templates)

    @property
    def template_hash(self) -> str | None:
        """sha256 of the template, or None without one."""
        return None if self.template is None else hashlib.sha256(self.template.encode()).hexdigest()

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        **variables: Any,
    ) -> str:
        """The conversation as the model reads it; equal to `apply_chat_template(tokenize=False)`.

        Raises InputError without a template, TemplateRefused (an InputError) with the template's words.
        """
        return self.render_spans(messages, tools, add_generation_prompt, **variables)[0]

    def render_spans(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        **variables: Any,
    ) -> tuple[str, list[Span]]:
        """As `render`, with the character spans written inside `{% generation %}` blocks."""
        return chat_template.render(
            self._template_for(tools),
            messages,
            {**self.special_tokens, **variables},
            tools=tools,
            add_generation_prompt=add_generation_prompt,
        )

    def _template_for(self, tools: Sequence[Mapping[str, Any]] | None) -> str:
        if tools is not None and "tool_use" in self.templates:
            return self.templates["tool_use"]
        if self.template is None:
            named = ", ".join(sorted(self.templates))
            raise InputError(
                f"this model has several chat templates ({named}) and none called default"
                if named
                else "this model has no chat template",
                where=str(self.folder),
                fix="Choose the instruct or chat version of the model, or train on plain text.",
            )
        return self.template

    # -- tokens

    def encode(self, text: str) -> tuple[list[int], list[Span]]:
        """Token ids and their character spans in `text`; adds no special tokens of its own.

        A character that takes several tokens appears in the span of each. Raises InputError for text
        that is not valid Unicode.
        """
        encoding = self._backend.encode(_valid(text), add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def encode_batch_spans(self, texts: Iterable[str]) -> list[tuple[list[int], list[Span]]]:
        """As `encode`, for many texts, in parallel. Raises InputError as `encode` does."""
        batch = [_valid(text) for text in texts]
        encodings = self._backend.encode_batch(batch, add_special_tokens=False)
        return [(encoding.ids, encoding.offsets) for encoding in encodings]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of many texts, in parallel. Raises InputError as `encode` does."""
        return [encoding.ids for encoding in self._encodings(texts)]

    def lengths(self, texts: Iterable[str]) -> list[int]:
        """Number of tokens of many texts; the quickest way to count. Raises InputError as `encode` does."""
        return [len(encoding) for encoding in self._encodings(texts)]

    def _encodings(self, texts: Iterable[str]) -> Iterable[Any]:
        batch: list[str] = []
        for text in texts:
            batch.append(_valid(text))
            if len(batch) == _BATCH:
                yield from self._backend.encode_batch_fast(batch, add_special_tokens=False)
                batch = []
        if batch:
            yield from self._backend.encode_batch_fast(batch, add_special_tokens=False)

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of token ids; special tokens are kept unless `skip_special`."""
        return str(self._backend.decode(list(ids), skip_special_tokens=skip_special))

    def token(self, token_id: int) -> str:
        """The vocabulary's piece for an id, e.g. "<|im_end|>" or "Ġhello". Raises KeyError when unknown."""
        piece = self._backend.id_to_token(token_id)
        if piece is None:
            raise KeyError(token_id)
        return str(piece)

    def id_of(self, token: str) -> int | None:
        """The id of a vocabulary piece, None when it is not in the vocabulary."""
        return None if (found := self._backend.token_to_id(token)) is None else int(found)

    def control_tokens(self) -> tuple[str, ...]:
        """Texts that are one token wherever they stand, and never part of another. Empty when some of them
        take blanks around them along, or depend on what stands beside them."""
        added = self._backend.get_added_tokens_decoder().values()
        if any(token.lstrip or token.rstrip or token.single_word for token in added):
            return ()
        return tuple(token.content for token in added)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def opening(self) -> str:
        """What the tokenizer puts before a plain text: its BOS token, or nothing."""
        ids = self._backend.encode("", add_special_tokens=True).ids
        return (
            self.special_tokens["bos_token"] if self.bos_id is not None and ids[:1] == [self.bos_id] else ""
        )

    @property
    def bos_id(self) -> int | None:
        """Id that begins a text, if the model has one."""
        return self._special_id("bos_token")

    @property
    def eos_id(self) -> int | None:
        """Id that ends a text, by the tokenizer's configuration; `stop_ids` has them all."""
        return self._special_id("eos_token")

    @property
    def pad_id(self) -> int | None:
        """Id that fills up short rows, if the model has one."""
        return self._special_id("pad_token")

    def _special_id(self, name: str) -> int | None:
        return self.id_of(self.special_tokens[name]) if name in self.special_tokens else None


def _backend(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise _no_tokenizer(folder)
    try:
        backend = Tokenizer.from_file(str(path))
    # The library raises plain Exception for a damaged file.
    except Exception as error:
        raise InputError(
            f"is damaged or too new: {excerpt(str(error), 120)}",
            where=str(path),
            fix="Fetch the model again; if that doesn't help, update the tokenizers package.",
        ) from None
    backend.no_truncation()
    backend.no_padding()
    return backend


def _no_tokenizer(folder: Path) -> InputError:
    """Which way out there is depends on what lies in the folder instead."""
    old = next(
        (name for name in ("tokenizer.model", "tekken.json", "vocab.json") if (folder / name).is_file()), None
    )
    if old is None:
        return InputError(
            "there is no tokenizer here",
            where=str(folder),
            fix="Copy tokenizer.json and tokenizer_config.json of the model into this folder.",
        )
    return InputError(
        f"there is no tokenizer.json here, only {old}",
        where=str(folder),
        fix='Convert it once: python -c "from transformers import AutoTokenizer as T; '
        f"T.from_pretrained('{folder}').save_pretrained('{folder}')\"",
    )


def _special_tokens(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Named special tokens. The old special_tokens_map.json counts only where transformers reads it."""
    found = {key: value for key, value in config.items() if key.endswith("_token")}
    extra = config.get("extra_special_tokens")
    if isinstance(extra, dict):
        found.update(extra)
    if "added_tokens_decoder" not in config:
        legacy = read_object(folder / "special_tokens_map.json")
        found.update({key: value for key, value in legacy.items() if key.endswith("_token")})
    contents = {key: value["content"] if isinstance(value, dict) else value for key, value in found.items()}
    return {key: value for key, value in contents.items() if isinstance(value, str)}


def _add_missing(backend: Tokenizer, config: Mapping[str, Any], special: Mapping[str, str]) -> None:
    """Tokens that only tokenizer_config.json knows get the ids that transformers would give them."""
    known = {repr(token) for token in backend.get_added_tokens_decoder().values()}
    listed = config.get("added_tokens_decoder") or {}
    declared = [
        AddedToken(**{key: value for key, value in token.items() if key != "__type"})
        for _, token in sorted(listed.items(), key=lambda item: int(item[0]))
    ]
    new = [token for token in declared if repr(token) not in known]
    contents = {token.content for token in [*backend.get_added_tokens_decoder().values(), *new]}
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens")
    more = [token for token in extra if isinstance(token, str)] if isinstance(extra, list) else []
    for name in dict.fromkeys([*special.values(), *more]):
        if name not in contents:
            new.append(AddedToken(name, special=True))
    if new:
        backend.add_tokens(new)


def _stop_ids(folder: Path, eos: int | None) -> tuple[int, ...]:
    """Ids that end an answer: generation_config.json (else config.json), then the tokenizer's own."""
    listed: Any = read_object(folder / "generation_config.json").get("eos_token_id")
    if listed is None:
        listed = read_object(folder / "config.json").get("eos_token_id")
    ids = listed if isinstance(listed, list) else [listed]
    return tuple(dict.fromkeys(i for i in [*ids, eos] if isinstance(i, int) and not isinstance(i, bool)))


def _valid(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the text is not valid Unicode: half a character at position {error.start}",
            fix="Save the file as UTF-8; a row like this cannot be turned into tokens.",
        ) from None
    return text
