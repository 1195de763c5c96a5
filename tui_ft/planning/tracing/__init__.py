"""The exact predictor's child process: real models on fake tensors. Imports torch; nobody imports it.

Started by `tui_ft.planning.exact` as `python -m tui_ft.planning.tracing`.
"""
