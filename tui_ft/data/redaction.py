"""Texts without what must not be learned by heart."""

from __future__ import annotations

from tui_ft.data.credentials import without_secrets
from tui_ft.data.personal import without_personal_data


def redacted(text: str) -> str:
    """The text with [secret], [e-mail] and so on for what must not be learned by heart. Idempotent."""
    while (better := without_personal_data(without_secrets(text))) != text:
        text = better
    return text
