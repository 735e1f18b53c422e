"""Runs every test of Berth, phase after phase, and counts."""

import argparse
import signal
import sys

import context
import documentation
import licences
import nixside
import packages
import programs
import style
import workspace
from outcome import Phase, Summary

EPILOG = """\
phases:
  packages       Debian packages that the tests need; installs what is missing (as root)
  programs       tools from crates.io that no Debian package brings, kept below ~/.cache/berth
  style          cargo fmt, cargo clippy
  licences       cargo deny
  nix            the modules and the rehearsal platform, by nix/tests/run
  workspace      all tests of all crates, on a PostgreSQL of their own and on real machines
  documentation  links between pages, and the commands that pages show

The exit status is 0 if nothing failed. What was skipped is counted and says why."""


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/run", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("filter", nargs="?", help="run only the tests whose names contain this, and only the phases that have tests")
    parser.add_argument("--quick", action="store_true", help="style, the Nix side and unit tests: no PostgreSQL, no machines")
    parser.add_argument("--phase", action="append", metavar="NAME", help="run only this phase; may be given more than once")
    return parser.parse_args()


def phases(options) -> list[Phase]:
    every = [
        Phase("packages", packages.run),
        Phase("programs", programs.run),
        Phase("style", style.run),
        Phase("licences", licences.run),
        Phase("nix", nixside.run),
        Phase("workspace", workspace.run),
        Phase("documentation", documentation.run),
    ]
    if options.phase:
        names = [phase.name for phase in every]
        unknown = [name for name in options.phase if name not in names]
        if unknown:
            sys.exit(f"no phase is called {', '.join(unknown)}; there are {', '.join(names)}")
        return [phase for phase in every if phase.name in options.phase]
    if options.filter:
        return [phase for phase in every if phase.name in ("packages", "nix", "workspace")]
    if options.quick:
        return [phase for phase in every if phase.name in ("packages", "programs", "style", "nix", "workspace")]
    return every


def main() -> int:
    # An end from outside is one like Ctrl-C: what was started is put away on the way out. Whoever starts this in the background of
    # a shell has it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    options = arguments()
    summary = Summary()
    run = context.Context.of(options)
    try:
        for phase in phases(options):
            summary.add(phase.name, phase.timed(run))
    except KeyboardInterrupt:
        print("\ninterrupted", flush=True)
        summary.interrupted = True
    return summary.close()


sys.exit(main())
