"""All tests of all crates in one build: unit tests, the crates' own tests, scenarios on machines, examples in rustdoc."""

import os
import shutil
from contextlib import ExitStack

import again
import command
import postgres
import programs
from context import nix_environment, why_no_machines
from libtest import Reader
from outcome import Outcome
from standing import Watch

BUILD_LIMIT = 45 * 60
TEST_LIMIT = 60 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    if context.quick:
        return _test(context, ["--lib", "--bins"], dict(context.environment), outcome)
    with ExitStack() as stack:
        environment = {**context.environment, **nix_environment(), **programs.variables(context)}
        environment |= {**_machines(outcome), **_database(stack, outcome)}
        if shutil.which("nix") is None:
            environment["BERTH_TEST_WITHOUT_NIX"] = "1"
            outcome.skipped.append("everything that evaluates or builds: there is no nix")
        # One selection of packages and targets means one set of features, so that nothing is compiled twice; and the
        # programs that scenarios start are among what is built.
        build = ["cargo", "build", "--workspace", "--all-targets", "--locked"]
        failure = command.check(build, environment, BUILD_LIMIT)
        if failure is not None:
            outcome.failed.append(f"cargo build: {failure}")
            return outcome
        environment["BERTH_PROGRAMS"] = str(context.target / "debug")
        # What takes long are tests on machines, which wait for these more than they compute: one for each processor leaves
        # half of the time unused.
        environment.setdefault("RUST_TEST_THREADS", str(2 * len(os.sched_getaffinity(0))))
        return _test(context, [], environment, outcome)


def _test(context, targets: list[str], environment: dict, outcome: Outcome) -> Outcome:
    log = context.target / "tests" / "workspace.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        reader = Reader(outcome, file)
        _run(reader, targets, context.filter, environment)
        failures = reader.failures
        for standstill in reader.standstills:
            failures += _whole_program_again(standstill, context.filter, environment, outcome, file)
    if context.filter and not reader.tests:
        outcome.skipped.append(f"no test's name contains “{context.filter}”")
    print(f"every line that the tests wrote: {log}")
    again.run(failures, environment, outcome)
    return outcome


def _whole_program_again(standstill: again.Standstill, filter: str | None, environment: dict, outcome: Outcome, file) -> list:
    """Runs a program once more in which a test stood still; what failed this time."""
    print(f"\nonce more: {standstill}", flush=True)
    reader = Reader(Outcome(), file, only=standstill.program)
    _run(reader, standstill.target(), filter, environment)
    outcome.add(reader.outcome)
    if reader.standstills or not reader.tests:
        outcome.failed.append(str(standstill))
    else:
        outcome.unsteady.append(f"{standstill}, and did not when run again")
    return reader.failures


def _run(reader: Reader, targets: list[str], filter: str | None, environment: dict) -> None:
    words = [filter] if filter else []
    argv = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast", *targets, "--", "--show-output", *words]
    try:
        with Watch(reader):
            status = command.stream(argv, environment, TEST_LIMIT, reader)
    except command.Failed as reason:
        slow = f", waiting for {', '.join(reader.slow)}" if reader.slow else ""
        reader.outcome.failed.append(f"cargo test: {reason}{slow}")
        status = 0
        reader.told_its_result = True
    reader.end()
    if status != 0 and not reader.outcome.failed and not reader.standstills:
        reader.outcome.failed.append(f"cargo test ended with exit status {status}")


def _machines(outcome: Outcome) -> dict[str, str]:
    reason = why_no_machines()
    if reason is None:
        return {"BERTH_REQUIRE_MACHINES": "1"}
    print(f"tests on machines are skipped: {reason}")
    outcome.skipped.append(f"every test on a machine: {reason}")
    return {}


def _database(stack: ExitStack, outcome: Outcome) -> dict[str, str]:
    try:
        url = stack.enter_context(postgres.running())
    except postgres.Unavailable as reason:
        print(f"tests on PostgreSQL are skipped: {reason}")
        outcome.skipped.append(f"every test on PostgreSQL: {reason}")
        return {}
    return {"BERTH_TEST_POSTGRES_URL": url, "BERTH_REQUIRE_POSTGRES": "1"}
