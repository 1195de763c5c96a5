"""Planning with next to nothing: a folder with config.json alone, and GPUs this box need not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui_ft.cli import main

LLAMA_8B = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
RECIPE = """\
[model]
id = "./model"
[data]
path = "rows.jsonl"
[method]
name = "{method}"
[train]
seq_len = 1024
micro_batch = 2
packing = "off"
gradient_checkpointing = true
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model folder with nothing but config.json, and rows."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(LLAMA_8B))
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}"}, {"role": "assistant", "content": str(n)}]}
        for n in range(80)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(place: Path, capsys: Any, *arguments: str) -> tuple[int, str]:
    code = main([*arguments, "--home", str(place / "home")])
    return code, capsys.readouterr().out


def plan(place: Path, capsys: Any, method: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    path = place / "recipe.toml"
    path.write_text(RECIPE.format(method=method))
    code, out = run(place, capsys, "plan", str(path), "--json", *arguments)
    return code, json.loads(out)


@pytest.mark.parametrize(
    ("method", "gib", "code", "fits", "peak_gib"),
    [("qlora", "12", 0, "safe", 7.1), ("lora", "24", 0, "safe", 17.3), ("lora", "12", 1, "wont_fit", 17.3)],
)
def test_a_config_is_enough_for_a_plan(
    place: Path, capsys: Any, method: str, gib: str, code: int, fits: str, peak_gib: float
) -> None:
    done, document = plan(place, capsys, method, "--vram", gib)
    assert done == code
    memory = document["memory"]
    assert memory["fits"] == fits
    assert memory["peak_bytes"] == sum(memory["parts"].values())
    assert memory["peak_bytes"] / 2**30 == pytest.approx(peak_gib, rel=0.1)
    assert document["train"]["seq_len"] == 1024
    assert any("lengths are unknown" in warning for warning in document["warnings"])
    if code:
        assert {"method.name": "qlora"} in [step["changes"] for step in document["relief"]]


def test_without_a_gpu_the_plan_is_for_the_processor(place: Path, capsys: Any) -> None:
    document = plan(place, capsys, "qlora")[1]
    assert document["device"] in ("cpu", "cuda")
    assert document["memory"]["peak_bytes"] > 0


def test_a_card_by_name_and_one_that_is_none(place: Path, capsys: Any) -> None:
    document = plan(place, capsys, "lora", "--gpu", "4090")[1]
    assert (document["device"], document["device_name"]) == ("cuda", "RTX 4090")
    assert document["time"]["low_s"] > 0
    for value in ("nan", "-3", "1e300"):
        code = main(["plan", str(place / "recipe.toml"), f"--vram={value}", "--home", str(place / "home")])
        assert code == 2
        assert "GPU memory make no sense" in capsys.readouterr().err


def test_fit_knows_the_models_of_the_list_without_a_hub(
    place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out = run(place, capsys, "fit", "meta-llama/Llama-3.1-8B-Instruct", "--vram", "24", "--json")
    assert code == 0
    methods = {plan["method"]: plan for plan in json.loads(out)["plans"]}
    assert methods["qlora"]["fits"] == "safe"
    assert methods["lora"]["longest"] > 2048
