"""Reading the small files of a model, which may be missing or damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_ft.errors import InputError
from tui_ft.text import excerpt

_AGAIN = "Fetch the model again."


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the model; {} when there is no such file.

    Raises InputError when the file is damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise InputError(f"is damaged: {excerpt(str(error), 120)}", where=str(path), fix=_AGAIN) from None
    if not isinstance(value, dict):
        raise InputError("is damaged: it should hold one JSON object", where=str(path), fix=_AGAIN)
    return value


def load_templates(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The chat templates by name. Files win over tokenizer_config.json, as in transformers."""
    templates: dict[str, str] = {}
    files = [folder / "chat_template.jinja", *sorted((folder / "chat_templates").glob("*.jinja"))]
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot be read: {excerpt(str(error), 120)}", where=str(path), fix=_AGAIN
            ) from None
        templates["default" if path.parent == folder else path.stem] = text
    if templates:
        return templates
    given = config.get("chat_template")
    if isinstance(given, str):
        return {"default": given}
    if isinstance(given, list):
        return {
            str(named["name"]): str(named["template"])
            for named in given
            if isinstance(named, dict) and {"name", "template"} <= named.keys()
        }
    return {}
