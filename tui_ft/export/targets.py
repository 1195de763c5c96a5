"""What can be exported, where it goes, and what is known to be impossible before anything starts. Light."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Literal, get_args

from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.runs.folder import RunFolder
from tui_ft.text import excerpt, nearest

Target = Literal["merged", "gguf:f16", "gguf:q8_0", "gguf:q4_k_m", "ollama", "vllm", "hub"]
Quantisation = Literal["f16", "q8_0", "q4_k_m"]

TARGETS: tuple[Target, ...] = get_args(Target)
QUANTISATIONS: tuple[Quantisation, ...] = get_args(Quantisation)

# What must be made before what: the rest is made from the merged model, Ollama's from a GGUF file.
_ORDER = ("merged", "gguf:f16", "gguf:q8_0", "gguf:q4_k_m", "ollama", "vllm", "hub")


def parse(names: Sequence[str]) -> tuple[Target, ...]:
    """The targets with these names, each once, in the order they are made; `gguf` is `gguf:q4_k_m`.

    Raises InputError naming every unknown one's nearest.
    """
    known = {str(target): target for target in TARGETS}
    known |= {"gguf": "gguf:q4_k_m"}
    found: set[Target] = set()
    for name in names:
        target = known.get(name.casefold())
        if target is None:
            close = nearest(name, known)
            raise InputError(
                f"there is no export format '{excerpt(name, 30)}'",
                where="--to",
                fix=f"Did you mean {close[0]}?" if close else f"There are: {', '.join(TARGETS)}.",
            )
        found.add(target)
    if not found:
        raise InputError("no export format was named", where="--to", fix=f"There are: {', '.join(TARGETS)}.")
    return tuple(sorted(found, key=_ORDER.index))


def quantisation(target: Target) -> Quantisation | None:
    """The quantisation of a GGUF target; None for the others."""
    return next((name for name in QUANTISATIONS if target == f"gguf:{name}"), None)


def gguf(kind: Quantisation) -> Target:
    """The target of a quantisation."""
    return next(target for target in TARGETS if target == f"gguf:{kind}")


def folder_name(target: Target) -> str:
    """Name of the target's folder under exports/."""
    return target.replace(":", "-")


def check(targets: Sequence[Target], folder: RunFolder) -> None:
    """Refuse at once what cannot succeed on this machine, before a process is started for it.

    Raises EnvironmentProblem for a missing package or token, InputError when nothing was trained yet.
    """
    if not any(
        (path / name).is_file()
        for path, name in ((folder.adapter, "adapter_config.json"), (folder.model, "config.json"))
    ):
        raise InputError(
            "this run has no trained weights yet, so there is nothing to export",
            where=folder.id,
            fix=f"See where it is with `tui-ft show {folder.id}`.",
        )
    if any(target == "ollama" or quantisation(target) for target in targets):
        missing = [name for name in ("cyllama", "sentencepiece") if importlib.util.find_spec(name) is None]
        if missing:
            raise EnvironmentProblem(
                f"GGUF needs a package that is not installed: {', '.join(missing)}",
                fix="Install it with `pip install 'tui-ft[gguf]'`; nothing has to be compiled.",
            )
    if "hub" in targets:
        raise _hub_problem(folder)


def _hub_problem(folder: RunFolder) -> EnvironmentProblem:
    from huggingface_hub import get_token

    if not get_token():
        return EnvironmentProblem(
            "there is no Hugging Face token on this machine, so nothing can be pushed",
            fix="Make one with write access and log in with `hf auth login`.",
        )
    return EnvironmentProblem(
        "pushing to the hub is not built yet",
        fix=f"Export `merged`, look at it, then `hf upload OWNER/NAME {folder.exports / 'merged'}`.",
    )
