"""What every phase knows: where things are, what was asked for, what this host can do."""

import grp
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Context:
    filter: str | None
    quick: bool
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, options) -> "Context":
        context = cls(options.filter, options.quick, dict(os.environ))
        # What cargo keeps to compile a crate in parts the next time is as large as all programs together. Who works
        # in this folder has it already and keeps it; a first run in a fresh one would fill a disk for nothing.
        if not (context.target / "debug" / "incremental").exists():
            context.environment.setdefault("CARGO_INCREMENTAL", "0")
        return context

    @property
    def cache(self) -> Path:
        """Where downloads and big builds are kept between runs; the testbed keeps its images there as well."""
        base = self.environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "berth"

    @property
    def target(self) -> Path:
        """Cargo's target folder."""
        return ROOT / self.environment.get("CARGO_TARGET_DIR", "target")


def why_no_machines() -> str | None:
    """Why this host cannot boot machines; None if it can. The testbed tries more, and fails the tests then."""
    if os.geteuid() != 0:
        return "machines need root"
    trial = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--", "true"]
    if shutil.which("unshare") is None:
        return "machines need unshare (package util-linux)"
    done = subprocess.run(trial, capture_output=True, text=True, timeout=20, check=False)
    return None if done.returncode == 0 else f"machines need namespaces: {done.stderr.strip()}"


def nix_environment() -> dict[str, str]:
    """Lets root build where no users were made for it to build as, which the bare package nix-bin does not."""
    try:
        grp.getgrnam("nixbld")
    except KeyError:
        return {"NIX_CONFIG": "build-users-group =\nsandbox = false"}
    return {}
