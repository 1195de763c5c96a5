"""Where tui-ft keeps things on this machine. Pure look-ups; nothing is created here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder tui-ft writes to: runs, prepared base models, logs."""

    root: Path

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.root / "runs"

    @property
    def models(self) -> Path:
        """Base models tui-ft prepared itself, such as the demo's dequantised SmolLM2."""
        return self.root / "models"

    @property
    def log(self) -> Path:
        """Tracebacks and warnings that are not for the screen."""
        return self.root / "tui-ft.log"

    @property
    def session(self) -> Path:
        """Where the wizard was left."""
        return self.root / "session.toml"

    @property
    def calibration(self) -> Path:
        """What dry runs measured on this box."""
        return self.root / "calibration.jsonl"

    @property
    def prices(self) -> Path:
        """What boxes cost per hour, as the user said."""
        return self.root / "prices.toml"


def home(given: str | os.PathLike[str] | None = None) -> Home:
    """The home folder: `given` (the --home flag), else TUI_FT_HOME, else the platform's data folder."""
    chosen = given or os.environ.get("TUI_FT_HOME")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    from platformdirs import user_data_path

    return Home(user_data_path("tui-ft", appauthor=False))


def hub_cache() -> Path:
    """The Hugging Face hub cache, by the same rules as huggingface_hub (HF_HUB_CACHE, HF_HOME)."""
    explicit = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    base = os.environ.get("HF_HOME")
    if base:
        return Path(base).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(cache).expanduser() / "huggingface" / "hub"
