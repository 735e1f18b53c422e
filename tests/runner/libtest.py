"""Reads what cargo test prints: counts, and passes on what somebody wants to see."""

import re
import threading
import time
from pathlib import Path
from typing import TextIO

from again import Failure, Standstill
from command import Quiet
from context import ROOT
from outcome import Outcome

BINARY = re.compile(
    r"^\s+(?:Running (?:unittests )?(?P<path>\S+)(?: \((?P<file>\S*/(?P<program>\S+)-[0-9a-f]+)\))?|Doc-tests (?P<crate>\S+))"
)
SLOW = re.compile(r"^test (?P<name>.+) has been running for over \d+ seconds$")
TEST = re.compile(r"^test (?P<name>.+) \.\.\. (?P<result>ok|FAILED|ignored.*)$")
OUTPUT_OF = re.compile(r"^---- (?P<name>.+) stdout ----$")
SKIPPED = re.compile(r"^skipped[,:]? *(?P<reason>.*)$", re.IGNORECASE)


class Reader:
    """Takes the lines one by one. A test that passes but says that it was skipped counts as skipped.

    What a program came to is counted once it has ended, if it is the only one to be counted or there is no such. Of one that is
    given up, what failed is counted, and it is named in `standstills`; the rest is for the next run to tell.
    """

    def __init__(self, outcome: Outcome, log: TextIO, only: str | None = None) -> None:
        self.outcome = outcome
        self.only = only
        self.log = log
        self.other = Quiet()
        self.binary = ""
        self.program = ""
        self.file: Path | None = None
        self.section = "tests"
        self.test: str | None = None
        self.skipped: set[str] = set()
        # What another thread asks for: the tests that are slow, and since when; and which of them are given up.
        self.lock = threading.Lock()
        self.slow: dict[str, float] = {}
        self.given_up: str | None = None
        self.own = Outcome()
        self.own_failures: list[Failure] = []
        self.told_its_result = True
        self.failures: list[Failure] = []
        self.standstills: list[Standstill] = []
        self.tests = 0

    def __call__(self, line: str) -> None:
        self.log.write(f"{line}\n")
        if binary := BINARY.match(line):
            self._begin(binary, line)
        elif line.startswith("test result: "):
            self.section, self.told_its_result = "tests", True
            print(f"  {line.removeprefix('test result: ')}", flush=True)
        elif line in ("successes:", "failures:"):
            self.section, self.test = line[:-1], None
        elif self.section == "successes":
            self._success(line)
        elif self.section == "failures":
            print(line, flush=True)
        elif test := TEST.match(line):
            self._result(test["name"], test["result"])
        elif slow := SLOW.match(line):
            with self.lock:
                self.slow[slow["name"]] = time.monotonic()
            print(line, flush=True)
        elif line and not line.startswith("running "):
            self.other(line)

    def give_up(self, limit: float) -> Path | None:
        """The program that runs, if it is to be ended: one of its tests is slow for so many seconds. Called by another thread."""
        with self.lock:
            late = [name for name, since in self.slow.items() if time.monotonic() - since > limit]
            if not late or self.file is None or self.given_up is not None:
                return None
            self.given_up = ", ".join(late)
            return self.file

    def end(self) -> None:
        """Counts what the last program came to; called when there are no more lines."""
        with self.lock:
            given_up, self.given_up, self.slow, self.file = self.given_up, None, {}, None
        counts = self.only in (None, self.program)
        if given_up is not None:
            print(f"STANDS STILL: {given_up}", flush=True)
            self.standstills.append(Standstill(self.binary, self.program, given_up))
            self.own = Outcome(failed=self.own.failed)
        elif not self.told_its_result:
            self.own.failed.append(f"{self.binary}: ended without a result")
        if counts:
            self.outcome.add(self.own)
            self.failures += self.own_failures
            self.tests += self.own.passed + len(self.own.failed) + len(self.own.skipped)
        self.own, self.own_failures, self.told_its_result = Outcome(), [], True

    def _begin(self, binary: re.Match, line: str) -> None:
        self.end()
        self.binary, self.program = binary["path"] or f"{binary['crate']} (rustdoc)", binary["program"] or ""
        self.section, self.skipped, self.told_its_result = "tests", set(), False
        with self.lock:
            self.file = (ROOT / binary["file"]).resolve() if binary["file"] else None
        print(line.strip(), flush=True)

    def _result(self, name: str, result: str) -> None:
        # A panic message of a should_panic test stands between the name and the result.
        name = name.removesuffix(" - should panic")
        with self.lock:
            self.slow.pop(name, None)
        if result == "ok":
            self.own.passed += 1
        elif result == "FAILED":
            failure = Failure(self.binary, self.program, name)
            self.own_failures.append(failure)
            self.own.failed.append(str(failure))
            print(f"FAILED: {name}", flush=True)
        else:
            self.own.skipped.append(f"{self.binary}: {name}: {result}")

    def _success(self, line: str) -> None:
        if output := OUTPUT_OF.match(line):
            self.test = output["name"]
        elif (skipped := SKIPPED.match(line)) and self.test and self.test not in self.skipped:
            self.skipped.add(self.test)
            self.own.passed -= 1
            self.own.skipped.append(f"{self.binary}: {self.test}: {skipped['reason']}")
