"""Tools from crates.io that no Debian package brings: built once for each version and kept in the cache."""

from pathlib import Path

import command
from outcome import Outcome

# Package, version, and the program that it installs.
CARGO_DENY = ("cargo-deny", "0.20.2", "cargo-deny")
NIXFMT = ("nixfmt_rs", "0.5.3", "nixfmt")

LIMIT = 20 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    for tool in (CARGO_DENY, NIXFMT):
        package, version, _ = tool
        if path(context, tool).exists():
            print(f"{package} {version}: {path(context, tool)}")
            outcome.passed += 1
            continue
        root = context.cache / f"{package}-{version}"
        argv = ["cargo", "install", package, "--version", version, "--locked", "--root", str(root)]
        failure = command.check(argv, context.environment, LIMIT)
        if failure is None:
            outcome.passed += 1
        else:
            outcome.skipped.append(f"{package} {version} cannot be built here ({failure}); what needs it is skipped")
    return outcome


def path(context, tool: tuple[str, str, str]) -> Path:
    package, version, program = tool
    return context.cache / f"{package}-{version}" / "bin" / program
