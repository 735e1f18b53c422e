"""Tools that no Debian package brings: built once for each version and kept in the cache."""

from dataclasses import dataclass
from pathlib import Path

import command
from gitea import Gitea
from outcome import Outcome

# Garage takes eight minutes on two cores.
LIMIT = 30 * 60


@dataclass(frozen=True)
class Crate:
    """A program that cargo installs from crates.io; `features` says what of it is built."""

    name: str
    version: str
    program: str
    features: tuple[str, ...] = ()

    def path(self, context) -> Path:
        return self._root(context) / "bin" / self.program

    def build(self, context) -> str | None:
        root = str(self._root(context))
        argv = ["cargo", "install", self.name, "--version", self.version, "--locked", "--root", root, *self.features]
        return command.check(argv, context.environment, LIMIT)

    def _root(self, context) -> Path:
        return context.cache / f"{self.name}-{self.version}"


CARGO_DENY = Crate("cargo-deny", "0.20.2", "cargo-deny")
NIXFMT = Crate("nixfmt_rs", "0.5.3", "nixfmt")
# An S3 store for the vault's tests. It brings its own libsodium and SQLite, so that no library of the host is needed.
GARAGE = Crate("garage", "2.5.0", "garage", ("--no-default-features", "--features", "bundled-libs,sqlite,metrics"))
# A service's real program, for the scenarios.
GITEA = Gitea("1.26.0")


def run(context) -> Outcome:
    outcome = Outcome()
    # Unit tests need neither an S3 store nor a service.
    for tool in (CARGO_DENY, NIXFMT) if context.quick else (CARGO_DENY, NIXFMT, GARAGE, GITEA):
        name = f"{tool.name} {tool.version}"
        if tool.path(context).exists():
            print(f"{name}: {tool.path(context)}")
            outcome.passed += 1
            continue
        failure = tool.build(context)
        if failure is None:
            outcome.passed += 1
        else:
            outcome.skipped.append(f"{name} cannot be built here ({failure}); what needs it is skipped")
    return outcome


def variables(context) -> dict[str, str]:
    """Where the tests find what was built; they say themselves what they skip without it."""
    found = {"BERTH_GARAGE": GARAGE.path(context), "BERTH_GITEA": GITEA.path(context)}
    return {name: str(path) for name, path in found.items() if path.exists()}
