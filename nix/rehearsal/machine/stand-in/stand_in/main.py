"""The command line."""

import sys

from .configuration import Configuration
from .server import serve
from .worker import work

ROLES = {"serve": serve, "work": work}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ROLES:
        print("usage: stand-in serve|work CONFIGURATION_JSON", file=sys.stderr)
        return 2
    ROLES[arguments[0]](Configuration.read(arguments[1]))
    return 0
