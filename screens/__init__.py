"""Everything drawn: the wizard and the dashboard. Shows what the stages of `tui_ft` find and decide."""
