"""Form: cargo fmt and cargo clippy. (Nix files have theirs checked by nix/tests/run.)"""

import command
from outcome import Outcome

LIMIT = 30 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    checks = {
        "cargo fmt": ["cargo", "fmt", "--all", "--check"],
        "cargo clippy": ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    }
    for name, argv in checks.items():
        outcome.take(name, command.check(argv, context.environment, LIMIT))
    return outcome
