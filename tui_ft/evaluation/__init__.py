"""Base against tuned model on rows neither was trained on. Torch is only loaded in child processes."""
