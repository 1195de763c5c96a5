"""Small rows, and tokenizers of every chat family, made here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tui_ft.data.rows import Message, Row
from tui_ft.models.tokenizer import ChatTokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CORPUS = [
    "the invoice is wrong and the printer does not answer, what is two plus two? It is four.",
    "user assistant system tool you are a helpful assistant named Smol, be terse",
    '{"category": "billing", "priority": "low"}\n\nReason step by step, then answer.',
]


@dataclass(frozen=True)
class Family:
    """A chat template that trl ships, with the tokens its models stop at."""

    name: str
    stops: tuple[str, ...]
    eos: str
    bos: str = ""


def trl_template(name: str) -> str:
    """The source of a chat template that trl ships; found without importing trl."""
    spec = find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def write_tokenizer(
    folder: Path,
    template: str | None,
    *,
    stops: Iterable[str],
    eos: str | None,
    bos: str = "",
    opens: bool = False,
) -> ChatTokenizer:
    """A byte-level BPE whose special tokens are those the template writes.

    `opens`: the tokenizer puts its BOS before plain texts, as Llama's does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(_CORPUS * 3, trainer)
    written = re.findall(r"<[|｜/]?[A-Za-z_][^<>{}\s'\"]*>|\[/?[A-Z_]+\]", template or "")
    special = dict.fromkeys([*written, *stops, *([eos] if eos else []), *([bos] if bos else [])])
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if opens:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    backend.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {"eos_token": eos, "bos_token": bos}
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if v}))
    ids = [backend.token_to_id(stop) for stop in stops]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return ChatTokenizer.load(folder)


def pairs(number: int, **more: Any) -> list[dict[str, Any]]:
    """That many different prompts with different answers of a dozen words."""
    words = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett")
    return [
        {
            "prompt": f"Question {i}: what comes after {words[i % 10]}?",
            "completion": f"After {words[i % 10]} comes {words[(i + 1) % 10]}, and this is answer {i}.",
            **more,
        }
        for i in range(number)
    ]


def chat(*turns: tuple[str, str], row_id: str = "00000000000000aa") -> Row:
    """A conversation as a canonical row."""
    return Row(row_id, "rows.jsonl", 1, tuple(Message(role=role, content=text) for role, text in turns))
