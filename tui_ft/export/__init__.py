"""From an adapter to something that can be served, each export checked. Torch only in child processes."""
