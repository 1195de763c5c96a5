"""Reading the small JSON files of a model, which may be missing or damaged."""

from __future__ import annotations

import json
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
