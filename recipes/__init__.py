"""Starter recipes as data: one TOML file each, and the demo's rows. Read through `tui_ft.starter_recipes`."""
