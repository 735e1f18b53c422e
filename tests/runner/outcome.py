"""What phases are, what they come to, and the closing lines."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What a phase came to. `skipped`, `unsteady` and `failed` hold a line each: what, and why. What is unsteady has passed."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, name: str, failure: str | None) -> None:
        """Counts one check, which failed if there is a failure to tell."""
        if failure is None:
            self.passed += 1
        else:
            self.failed.append(f"{name}: {failure}")

    def add(self, other: "Outcome") -> None:
        """Adds what something else came to; not the time."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.unsteady += other.unsteady


@dataclass
class Phase:
    name: str
    run: Callable

    def timed(self, context) -> Outcome:
        print(f"\n=== {self.name} ===", flush=True)
        started = time.monotonic()
        try:
            outcome = self.run(context)
        except Exception as error:  # noqa: BLE001: a phase that breaks in any way has failed, and the next one runs
            traceback.print_exc()
            outcome = Outcome(failed=[f"{type(error).__name__}: {error}"])
        outcome.seconds = time.monotonic() - started
        print(f"--- {self.name}: {_counts(outcome)} in {outcome.seconds:.0f} s", flush=True)
        return outcome


class Summary:
    """The closing lines."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.interrupted = False
        self.started = time.monotonic()

    def add(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome

    def close(self) -> int:
        """Prints everything that was skipped, is unsteady or failed, then a line for each phase; the result is the exit status."""
        print("\n=== summary ===")
        for word in ("skipped", "unsteady", "failed"):
            for name, outcome in self.outcomes.items():
                for line in getattr(outcome, word):
                    print(f"{word}: {name}: {line}")
        for name, outcome in self.outcomes.items():
            print(f"{name:14} {_counts(outcome):40} {outcome.seconds:6.0f} s")
        total = Outcome()
        for outcome in self.outcomes.values():
            total.add(outcome)
        print(f"{'total':14} {_counts(total):40} {time.monotonic() - self.started:6.0f} s")
        good = not total.failed and not self.interrupted
        print("every test passed" if good else "interrupted" if self.interrupted else "FAILED", flush=True)
        return 0 if good else 130 if self.interrupted else 1


def _counts(outcome: Outcome) -> str:
    return f"{outcome.passed} passed, {len(outcome.failed)} failed, {len(outcome.skipped)} skipped"
