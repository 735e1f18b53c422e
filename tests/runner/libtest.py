"""Reads what cargo test prints: counts, and passes on what somebody wants to see."""

import re
from typing import TextIO

from again import Failure
from command import Quiet
from outcome import Outcome

BINARY = re.compile(
    r"^\s+(?:Running (?:unittests )?(?P<path>\S+)(?: \(\S*/(?P<program>\S+)-[0-9a-f]+\))?|Doc-tests (?P<crate>\S+))"
)
TEST = re.compile(r"^test (?P<name>.+) \.\.\. (?P<result>ok|FAILED|ignored.*)$")
OUTPUT_OF = re.compile(r"^---- (?P<name>.+) stdout ----$")
SKIPPED = re.compile(r"^skipped[,:]? *(?P<reason>.*)$", re.IGNORECASE)


class Reader:
    """Takes the lines one by one. A test that passes but says that it was skipped counts as skipped."""

    def __init__(self, outcome: Outcome, log: TextIO) -> None:
        self.outcome = outcome
        self.log = log
        self.other = Quiet()
        self.binary = ""
        self.program = ""
        self.section = "tests"
        self.test: str | None = None
        self.skipped: set[str] = set()
        self.failures: list[Failure] = []
        self.tests = 0

    def __call__(self, line: str) -> None:
        self.log.write(f"{line}\n")
        if binary := BINARY.match(line):
            self._begin(binary["path"] or f"{binary['crate']} (rustdoc)", binary["program"] or "", line)
        elif line.startswith("test result: "):
            self.section = "tests"
            print(f"  {line.removeprefix('test result: ')}", flush=True)
        elif line in ("successes:", "failures:"):
            self.section, self.test = line[:-1], None
        elif self.section == "successes":
            self._success(line)
        elif self.section == "failures":
            print(line, flush=True)
        elif test := TEST.match(line):
            self._result(test["name"], test["result"])
        elif line and not line.startswith("running "):
            self.other(line)

    def _begin(self, binary: str, program: str, line: str) -> None:
        self.binary, self.program, self.section = binary, program, "tests"
        self.skipped = set()
        print(line.strip(), flush=True)

    def _result(self, name: str, result: str) -> None:
        # A panic message of a should_panic test stands between the name and the result.
        name = name.removesuffix(" - should panic")
        self.tests += 1
        if result == "ok":
            self.outcome.passed += 1
        elif result == "FAILED":
            failure = Failure(self.binary, self.program, name)
            self.failures.append(failure)
            self.outcome.failed.append(str(failure))
            print(f"FAILED: {name}", flush=True)
        else:
            self.outcome.skipped.append(f"{self.binary}: {name}: {result}")

    def _success(self, line: str) -> None:
        if output := OUTPUT_OF.match(line):
            self.test = output["name"]
        elif (skipped := SKIPPED.match(line)) and self.test and self.test not in self.skipped:
            self.skipped.add(self.test)
            self.outcome.passed -= 1
            self.outcome.skipped.append(f"{self.binary}: {self.test}: {skipped['reason']}")
