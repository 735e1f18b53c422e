"""Runs once more, alone, what failed among everything else.

Tests on machines share two or four cores with each other, and one that waits for a machine may then wait too long. Whoever
passes alone has passed, but is named as unsteady in the closing lines: its waiting, or what it waits for, wants mending.
"""

from dataclasses import dataclass

import command
from outcome import Outcome

# More than so many failures are no accident.
MOST = 5

LIMIT = 15 * 60


@dataclass(frozen=True)
class Failure:
    """A test that failed: the source of its program as cargo names it, the program, and the test."""

    source: str
    program: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}: {self.name}"

    def target(self) -> list[str]:
        """How cargo is told to run this program's tests."""
        if self.source == "src/lib.rs":
            return ["--lib"]
        if self.source.startswith("src/"):
            return ["--bins"]
        return ["--test", self.program]


class Standstill(Failure):
    """A test that stood still, or several, so that its program was ended."""

    def __str__(self) -> str:
        return f"{super().__str__()}: stood still"


def run(failures: list[Failure], environment: dict, outcome: Outcome) -> None:
    """Moves those that pass now from what failed to what is unsteady."""
    if not 0 < len(failures) <= MOST:
        return
    print("\nonce more, alone:", flush=True)
    for failure in failures:
        if failure.program and _passes(failure, environment):
            outcome.failed.remove(str(failure))
            outcome.passed += 1
            outcome.unsteady.append(f"{failure}: failed among the others, passed alone")


def _passes(failure: Failure, environment: dict) -> bool:
    lines: list[str] = []
    argv = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast", *failure.target(), "--", "--exact", failure.name]
    failed = command.check(argv, environment, LIMIT, lines.append)
    # No test by that name would be a success as well.
    passed = failed is None and f"test {failure.name} ... ok" in lines
    print(f"  {'passed' if passed else 'failed again'}: {failure}", flush=True)
    if not passed:
        print("\n".join(lines), flush=True)
    return passed
