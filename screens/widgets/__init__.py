"""Widgets that Textual does not have, or has in a heavier form."""
