"""Debian packages: everything that the tests need of the host is in this one list."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import command
from outcome import Outcome

# Found by a file or by a program in PATH; and what it is for.
NEEDED = [
    ("cc", "gcc libc6-dev", "links Rust programs and compiles the SQLite that is built in"),
    ("git", "git", "cargo deny reads the advisories from a repository"),
    ("git-lfs", "git-lfs", "pushes large files to a Gitea and fetches them"),
    ("curl", "curl", "the documentation's commands"),
    ("nix", "nix-bin", "evaluates, builds and copies what is deployed"),
    ("debootstrap", "debootstrap", "builds the machines' image"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring", "proves that the image is Debian's"),
    ("systemd-nspawn", "systemd-container", "runs the machines"),
    ("ip", "iproute2", "connects the machines"),
    ("unshare", "util-linux", "tries what the host allows"),
    ("ssh", "openssh-client", "reaches the machines"),
    ("/usr/sbin/sshd", "openssh-server", "a server for the tests of SSH alone"),
    ("/usr/lib/postgresql/*/bin/postgres", "postgresql", "the other database that the daemon may use"),
    ("restic", "restic", "a client of the vault"),
    ("chromium", "chromium fonts-dejavu-core", "looks at the page that customers watch"),
]

LIMIT = 20 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    missing = [needed for needed in NEEDED if not _found(needed[0])]
    outcome.passed = len(NEEDED) - len(missing)
    for _, package, use in missing:
        print(f"missing: {package} ({use})")
    if missing and os.geteuid() != 0:
        outcome.skipped = [f"{package} is missing, and only root may install it: {use}" for _, package, use in missing]
    elif missing:
        names = [name for _, package, _ in missing for name in package.split()]
        failure = _install(names, context.environment)
        if failure is None:
            failure = " ".join(found for found, *_ in missing if not _found(found)) or None
            failure = failure and f"installed, but not found: {failure}"
        outcome.take(f"apt-get install {' '.join(names)}", failure)
    else:
        print("everything is there")
    return outcome


def _found(what: str) -> bool:
    if what.startswith("/"):
        return any(Path("/").glob(what.lstrip("/")))
    return shutil.which(what, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _install(names: list[str], environment: dict) -> str | None:
    environment = {**environment, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    apt = ["apt-get", "--quiet=1", "-o=Dpkg::Use-Pty=0", "-o=DPkg::Lock::Timeout=300"]
    with _services_stay_off():
        return command.check([*apt, "update"], environment, LIMIT) or command.check(
            [*apt, "install", "--yes", "--no-install-recommends", "--no-upgrade", *names], environment, LIMIT
        )


@contextmanager
def _services_stay_off():
    """Installing a server must not start one: the tests start their own. (invoke-rc.d(8), POLICY)"""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink(missing_ok=True)
