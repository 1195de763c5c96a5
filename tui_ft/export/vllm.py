"""How to serve the result with vLLM: the command lines, and a README that holds them. Light."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_ft.planning.plan import Plan

# `--max-lora-rank` takes only these (vllm.config.lora.MaxLoRARanks, vLLM 0.14 to 0.33).
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_CONTEXT = 4096


def serve_merged(merged: Path, name: str, plan: Plan, context: int | None) -> str:
    """The command that serves the merged model."""
    return _command(["vllm", "serve", str(merged), "--served-model-name", name, *_settings(plan, context)])


def serve_adapter(adapter: Path, name: str, plan: Plan, context: int | None) -> str | None:
    """The command that serves base and adapter side by side; None when vLLM cannot, see `why_not`."""
    if why_not(plan, _config(adapter)):
        return None
    rank = next(allowed for allowed in RANKS if allowed >= plan.method.rank)
    return _command(
        [
            *("vllm", "serve", plan.model_folder, "--served-model-name", plan.model_id),
            *("--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", f"{name}={adapter}"),
            *_settings(plan, context),
        ]
    )


def why_not(plan: Plan, config: Mapping[str, Any]) -> str:
    """Why vLLM cannot serve this adapter as it is; "" when it can."""
    if plan.method.name == "full":
        return "every weight was trained, so there is no adapter"
    if plan.method.name == "dora" or config.get("use_dora"):
        return "vLLM does not know DoRA adapters"
    if plan.method.rank > RANKS[-1]:
        return f"vLLM takes ranks up to {RANKS[-1]}, this one has {plan.method.rank}"
    if config.get("modules_to_save"):
        return "vLLM does not take adapters that replace whole modules (modules_to_save)"
    return ""


def readme(merged: Path, adapter: Path, name: str, plan: Plan, context: int | None) -> str:
    """README.md of the export."""
    alone = serve_adapter(adapter, name, plan, context)
    request = json.dumps(
        {"model": name, "temperature": 0, "messages": [{"role": "user", "content": "..."}]},
        ensure_ascii=False,
    )
    lines = [
        f"# Serving {name} with vLLM",
        "",
        "The commands below were written for this run; vLLM itself was not started here.",
        "Install it on the machine that serves: `pip install vllm`.",
        "",
        "## The merged model",
        "",
        "One model, no adapter at run time: the fastest way.",
        "",
        "    " + serve_merged(merged, name, plan, context).replace("\n", "\n    "),
        "",
        "## Base and adapter",
        "",
    ]
    if alone is None:
        lines.append(f"Not possible here: {why_not(plan, _config(adapter))}.")
    else:
        lines += [
            "Many adapters can share one base in memory; each has its own model name.",
            "",
            "    " + alone.replace("\n", "\n    "),
        ]
    lines += [
        "",
        "## Asking it",
        "",
        "    curl http://localhost:8000/v1/chat/completions -H 'Content-Type: application/json' \\",
        f"      -d {shlex.quote(request)}",
        "",
        "Chat template and stop tokens come with the model's folder.",
        "",
    ]
    return "\n".join(lines)


def _settings(plan: Plan, context: int | None) -> list[str]:
    longest = max(_CONTEXT, 2 * plan.train.seq_len)
    dtype = ["--dtype", "half"] if plan.train.precision == "fp16" else []
    return ["--max-model-len", str(min(longest, context) if context else longest), *dtype]


def _config(adapter: Path) -> dict[str, Any]:
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _command(words: list[str]) -> str:
    """The command, one option a line, as a shell takes it."""
    lines = [" ".join(map(shlex.quote, words[:3]))]
    for word in words[3:]:
        if word.startswith("--"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(lines)
