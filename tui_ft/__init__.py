"""Fine-tuning from the terminal: decide, plan, train, evaluate, export.

This package is the program without a screen. Nothing in it imports Textual, and only
`training`, `evaluation` and `export` import torch, always inside child processes.
"""

__version__ = "0.1.0"
