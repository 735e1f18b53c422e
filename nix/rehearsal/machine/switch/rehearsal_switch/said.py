"""How the programs end, and how they speak."""

import sys

# Exit codes, as NixOS' switch-to-configuration-ng has them.
DONE = 0
USAGE = 1
SCRIPT_FAILED = 2
UNITS_FAILED = 4
NEEDS_REBOOT = 100


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
