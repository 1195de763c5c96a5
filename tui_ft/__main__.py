"""`python -m tui_ft` and the `tui-ft` command."""

import sys


def run() -> None:
    """Entry point of the `tui-ft` command."""
    from tui_ft.cli import main

    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
