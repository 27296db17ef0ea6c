"""Runs the command line as `python -m qaip_sandbox`."""

import sys

from .cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
