"""The Nix side: modules, rehearsal platform, catalogue; by nix/tests/run, whose words are taken over."""

import re
import shutil

import command
import programs
from context import nix_environment
from outcome import Outcome

LIMIT = 15 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    if shutil.which("nix") is None:
        outcome.skipped.append("everything: there is no nix")
        return outcome
    nixfmt = programs.NIXFMT.path(context).parent
    environment = {**context.environment, **nix_environment()}
    environment["PATH"] = f"{nixfmt}:{environment.get('PATH', '')}"

    def read(line: str) -> None:
        print(line, flush=True)
        if skipped := re.match(r"skipped: (.*)", line):
            outcome.skipped.append(skipped[1])
        elif failed := re.match(r"FAILED: (.*)", line):
            outcome.failed.append(failed[1])
        elif counts := re.match(r"(\d+) passed, \d+ failed", line):
            outcome.passed = int(counts[1])

    words = [context.filter] if context.filter else []
    try:
        status = command.stream(["nix/tests/run", *words], environment, LIMIT, read)
    except command.Failed as reason:
        outcome.failed.append(str(reason))
        return outcome
    if status != 0 and not outcome.failed:
        outcome.failed.append(f"nix/tests/run ended with exit status {status}")
    return outcome
