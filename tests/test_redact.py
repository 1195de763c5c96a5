"""Secrets are masked wherever they stand; ordinary text is left alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tui_ft.redact import MASK, Redacting, known_secrets, redact

LOOK_LIKE_TOKENS = [
    "hf_" + "aB3dE6gH9jK2mN5pQ8sT",
    "ghp_" + "a" * 36,
    "sk-" + "proj-abcdefghij0123456789",
    "AKIA" + "ABCDEFGH01234567",
]


@pytest.mark.parametrize("token", LOOK_LIKE_TOKENS)
def test_what_looks_like_a_token_is_masked(token: str) -> None:
    assert redact(f"cannot fetch with {token}, sorry") == f"cannot fetch with {MASK}, sorry"


def test_passwords_in_addresses_and_headers_are_masked() -> None:
    assert redact("https://me:pa55word@host/x") == f"https://{MASK}@host/x"
    assert redact("Authorization: Bearer abcdefghijklmnop123") == f"Authorization: Bearer {MASK}"


@pytest.mark.parametrize(
    "text",
    [
        "step 3 of 12, loss 1.25",
        "user@host:path",
        "https://huggingface.co/a/b",
        "train.learning_rate=2e-4",
        "",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_masking_leaves_json_whole() -> None:
    document = {"a": "http://x", "b": "c@d", "c": "https://u:p@h", "d": LOOK_LIKE_TOKENS[0]}
    found = json.loads(redact(json.dumps(document)))
    assert found.keys() == document.keys()
    assert found["d"] == MASK


def test_secrets_are_known_by_the_name_of_their_variable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-from-a-login\n")
    environment = {
        "WANDB_API_KEY": "0123456789abcdef",
        "MY_SECRET": "correct horse",
        "SSH_AUTH_SOCK": "/tmp/agent.1",
        "SHORT_TOKEN": "abc",
        "EDITOR": "emacs -nw",
        "HF_HOME": str(tmp_path),
    }
    assert known_secrets(environment) == {"0123456789abcdef", "correct horse", "a-token-from-a-login"}


def test_a_stream_masks_what_is_written() -> None:
    inner = io.StringIO()
    stream = Redacting(inner)
    assert stream.write(f"a {LOOK_LIKE_TOKENS[0]}") == 2 + len(LOOK_LIKE_TOKENS[0])
    stream.writelines(["b\n", "c\n"])
    assert inner.getvalue() == f"a {MASK}b\nc\n"


def test_a_process_masks_its_own_environment() -> None:
    code = "from tui_ft.redact import redact; print(redact('the key is planted-value-1'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"SOME_API_KEY": "planted-value-1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"the key is {MASK}\n"
