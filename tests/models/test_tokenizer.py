"""The light tokenizer: templates, special tokens, ids, and files that are missing or damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import InputError
from tui_ft.models.chat_template import TemplateRefused, marks_generation, render
from tui_ft.models.tokenizer import ChatTokenizer

CHAT = [{"role": "user", "content": "hello world"}, {"role": "assistant", "content": "hello"}]


@pytest.fixture
def tokenizer(make_model: Any) -> ChatTokenizer:
    return ChatTokenizer.load(make_model())


# -- tokens


def test_ids_and_spans(tokenizer: ChatTokenizer) -> None:
    ids, spans = tokenizer.encode("hello  world</s>")
    assert [tokenizer.token(i) for i in ids] == ["hello", "world", "</s>"]
    assert spans == [(0, 5), (7, 12), (12, 16)]
    assert tokenizer.decode(ids) == "hello world </s>"
    assert tokenizer.decode(ids, skip_special=True) == "hello world"


def test_nothing_is_added_to_a_text(make_model: Any) -> None:
    folder = make_model()
    data = json.loads((folder / "tokenizer.json").read_text())
    piece = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [piece, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [piece, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    }
    data["truncation"] = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    data["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 1,
        "pad_type_id": 0,
        "pad_token": "</s>",
    }
    (folder / "tokenizer.json").write_text(json.dumps(data))
    tokenizer = ChatTokenizer.load(folder)
    assert tokenizer.encode("hello world")[0] == [2, 3]
    assert tokenizer.encode_batch(["hello world"]) == [[2, 3]]


@given(texts=st.lists(st.text(max_size=30), max_size=8))
def test_a_batch_equals_its_texts(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    tokenizer = _shared(tmp_path_factory)
    ids = tokenizer.encode_batch(texts)
    assert ids == [tokenizer.encode(text)[0] for text in texts]
    assert tokenizer.lengths(texts) == list(map(len, ids))


def _shared(factory: pytest.TempPathFactory) -> ChatTokenizer:
    folder = factory.getbasetemp() / "shared-model"
    if not folder.exists():
        folder.mkdir()
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        alphabet = {char: i for i, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.save(str(folder / "tokenizer.json"))
    return ChatTokenizer.load(folder)


@given(text=st.text(max_size=60))
def test_spans_cover_the_text_and_ids_give_it_back(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    tokenizer = _shared(tmp_path_factory)
    ids, spans = tokenizer.encode(text)
    assert len(ids) == len(spans) == len(text.encode())
    assert {i for start, end in spans for i in range(start, end)} == set(range(len(text)))
    assert tokenizer.decode(ids) == text


def test_large_batches_come_whole(tokenizer: ChatTokenizer) -> None:
    texts = ["hello " * (number % 7) for number in range(3000)]
    assert tokenizer.lengths(texts) == [number % 7 for number in range(3000)]


def test_half_a_character_is_an_error(tokenizer: ChatTokenizer) -> None:
    for encode in (tokenizer.encode, lambda text: tokenizer.encode_batch([text])):
        with pytest.raises(InputError, match="half a character at position 2"):
            encode("ab\ud83d")


def test_special_tokens(tokenizer: ChatTokenizer) -> None:
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 1, None)
    assert tokenizer.stop_ids == (1,)
    assert tokenizer.id_of("hello") == 2
    assert tokenizer.id_of("absent") is None
    with pytest.raises(KeyError):
        tokenizer.token(10_000)


def test_all_stops_count(make_model: Any) -> None:
    folder = make_model()
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 3, 7]}')
    assert ChatTokenizer.load(folder).stop_ids == (7, 3, 1)
    (folder / "generation_config.json").write_text('{"eos_token_id": null}')
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": 5}))
    assert ChatTokenizer.load(folder).stop_ids == (5, 1)


def test_special_tokens_may_be_objects_or_in_the_old_file(make_model: Any) -> None:
    folder = make_model()
    (folder / "tokenizer_config.json").write_text('{"bos_token": {"content": "<s>"}, "pad_token": null}')
    (folder / "special_tokens_map.json").write_text('{"eos_token": {"content": "</s>", "lstrip": false}}')
    tokenizer = ChatTokenizer.load(folder)
    assert tokenizer.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}


def test_tokens_that_only_the_config_knows_get_new_ids(make_model: Any) -> None:
    folder = make_model()
    size = ChatTokenizer.load(folder).vocab_size
    (folder / "tokenizer_config.json").write_text(
        '{"eos_token": "</s>", "pad_token": "<pad>", "extra_special_tokens": ["<tool>"]}'
    )
    tokenizer = ChatTokenizer.load(folder)
    assert tokenizer.pad_id == size
    assert tokenizer.encode("hello<tool>")[0] == [2, size + 1]


# -- templates


def test_a_conversation(tokenizer: ChatTokenizer) -> None:
    assert tokenizer.render(CHAT) == "<s>user: hello world</s><s>assistant: hello</s>"
    assert tokenizer.render(CHAT[:1], add_generation_prompt=True).endswith("<s>assistant: ")
    assert tokenizer.has_template
    assert tokenizer.template_hash is not None
    assert len(tokenizer.template_hash) == 64


def test_variables_reach_the_template(tokenizer: ChatTokenizer) -> None:
    thinking = tokenizer.with_template("{{ 'on' if enable_thinking else 'off' }}{{ eos_token }}")
    assert thinking.render(CHAT, enable_thinking=True) == "on</s>"
    assert thinking.render(CHAT, eos_token="!") == "off!"
    assert thinking.template_hash != tokenizer.template_hash


def test_generation_blocks_tell_where_the_answer_is(tokenizer: ChatTokenizer) -> None:
    marked = tokenizer.with_template(
        "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}</s>"
        "{% endgeneration %}{% else %}U:{{ m.content }}{% endif %}{% endfor %}"
    )
    text, spans = marked.render_spans([*CHAT, *CHAT])
    assert [text[start:end] for start, end in spans] == ["hello</s>", "hello</s>"]
    assert marked.template is not None
    assert tokenizer.template is not None
    assert marks_generation(marked.template)
    assert not marks_generation(tokenizer.template)


def test_a_model_without_a_template(make_model: Any) -> None:
    folder = make_model()
    (folder / "chat_template.jinja").unlink()
    tokenizer = ChatTokenizer.load(folder)
    assert not tokenizer.has_template
    assert tokenizer.template_hash is None
    with pytest.raises(InputError, match="no chat template") as caught:
        tokenizer.render(CHAT)
    assert "instruct" in caught.value.fix


def test_where_templates_are_found(make_model: Any) -> None:
    folder = make_model()
    (folder / "chat_templates").mkdir()
    (folder / "chat_templates" / "tool_use.jinja").write_text("with tools")
    tokenizer = ChatTokenizer.load(folder)
    assert tokenizer.render(CHAT, tools=[]) == "with tools"
    assert tokenizer.render(CHAT).startswith("<s>user")

    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"several chat templates \(tool_use\)"):
        ChatTokenizer.load(folder).render(CHAT)

    (folder / "chat_templates" / "tool_use.jinja").unlink()
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert ChatTokenizer.load(folder).render(CHAT) == "plain"
    assert ChatTokenizer.load(folder).render(CHAT, tools=[]) == "tools"

    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "just one"}))
    assert ChatTokenizer.load(folder).render(CHAT) == "just one"


@pytest.mark.parametrize(
    ("template", "words", "fix"),
    [
        ("{{ raise_exception('System role not supported') }}", "System role not supported", "first user"),
        (
            "{{ raise_exception('Conversation roles must alternate user/assistant') }}",
            "must alternate",
            "join",
        ),
        ("{{ raise_exception('odd') }}", "odd", "roles and fields"),
        ("{{ messages[0]['content'] + 1 }}", "can only concatenate str", "roles and fields"),
        ("{{ messages[9]['content'] }}", "list object has no element 9", "roles and fields"),
        ("{% if %}", "Expected an expression", "roles and fields"),
        ("{{ ''.__class__.__mro__ }}", "unsafe", "roles and fields"),
        ("{% set x = namespace(_a=1) %}", "may not set '_a'", "roles and fields"),
        ("{% set x = namespace() %}{% set x._a = 1 %}", "may not set '_a'", "roles and fields"),
        ("{{ messages.append(1) }}", "unsafe", "roles and fields"),
    ],
)
def test_templates_that_refuse(tokenizer: ChatTokenizer, template: str, words: str, fix: str) -> None:
    with pytest.raises(TemplateRefused) as caught:
        tokenizer.with_template(template).render(CHAT)
    assert words in caught.value.words
    assert caught.value.words in caught.value.what
    assert fix in caught.value.fix


def test_an_empty_or_odd_conversation(tokenizer: ChatTokenizer) -> None:
    with pytest.raises(InputError, match="conversation is empty"):
        tokenizer.render([])
    with pytest.raises(InputError, match="not an object"):
        tokenizer.render(["hello"])  # type: ignore[list-item]


def test_only_plain_values_reach_the_template() -> None:
    class Sly(str):
        def leak(self) -> str:
            return "leaked"

    shown = render("{{ messages }}", [{"role": Sly("user"), "x": Path("/etc"), "n": (1, 2.5, None)}], {})[0]
    assert shown == str([{"role": "user", "x": "<PosixPath>", "n": (1, 2.5, None)}])
    with pytest.raises(TemplateRefused):
        render("{{ messages[0].role.leak() }}", [{"role": Sly("user")}], {})


# -- files


@pytest.mark.parametrize(
    ("remains", "words"),
    [
        (None, "no tokenizer here"),
        ("tokenizer.model", "only tokenizer.model"),
        ("tekken.json", "only tekken.json"),
    ],
)
def test_no_tokenizer_json(make_model: Any, remains: str | None, words: str) -> None:
    folder = make_model()
    (folder / "tokenizer.json").unlink()
    if remains:
        (folder / remains).write_bytes(b"")
    with pytest.raises(InputError, match=words) as caught:
        ChatTokenizer.load(folder)
    assert ("AutoTokenizer" in caught.value.fix) == bool(remains)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_damaged_files_are_named(make_model: Any, name: str) -> None:
    folder = make_model()
    (folder / name).write_text('{"eos_token": ')
    with pytest.raises(InputError, match="is damaged") as caught:
        ChatTokenizer.load(folder)
    assert caught.value.problems[0].where == str(folder / name)


def test_a_template_that_is_no_text(make_model: Any) -> None:
    folder = make_model()
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        ChatTokenizer.load(folder)


def test_it_is_light(make_model: Any) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tui_ft.models.tokenizer import ChatTokenizer\n"
        f"ChatTokenizer.load(Path({str(make_model())!r})).render([{{'role': 'user', 'content': 'x'}}])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'textual', 'numpy', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
