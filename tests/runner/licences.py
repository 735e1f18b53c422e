"""What the workspace is built from: licences, sources, unwanted crates, known vulnerabilities, by cargo deny."""

import subprocess

import command
import programs
from context import ROOT
from outcome import Outcome

LIMIT = 5 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    deny = programs.CARGO_DENY.path(context)
    if not deny.exists():
        outcome.skipped.append("cargo deny is not there")
        return outcome
    checks = [str(deny), "--locked", "check", "bans", "licenses", "sources"]
    outcome.take("cargo deny check bans licenses sources", command.check(checks, context.environment, LIMIT))
    _advisories([str(deny), "--locked", "check", "advisories"], context, outcome)
    return outcome


def _advisories(argv: list[str], context, outcome: Outcome) -> None:
    """They are in a repository on GitHub, which not every place where tests run can reach."""
    print(f"$ {' '.join(argv)}", flush=True)
    try:
        done = subprocess.run(
            argv, cwd=ROOT, env=context.environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        outcome.skipped.append("advisories: fetching the database took too long")
        return
    print(done.stdout + done.stderr, end="", flush=True)
    if "failed to fetch advisory database" in done.stderr:
        outcome.skipped.append("advisories: the database at github.com/RustSec/advisory-db cannot be reached")
    else:
        outcome.take("cargo deny check advisories", None if done.returncode == 0 else f"exit status {done.returncode}")
