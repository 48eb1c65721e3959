"""`python -m processes.cli`: the same as `kalshi-actor`."""

from __future__ import annotations

import sys

from processes.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
