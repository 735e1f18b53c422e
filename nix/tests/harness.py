"""What the tests share: running Nix, and the names of things."""

import json
import os
import subprocess
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent.parent
NIX = ["nix", "--extra-experimental-features", "nix-command flakes"]
TIMEOUT = 120

MODES = ["active", "standby", "maintenance", "suspended", "moved", "fenced"]
SERVICES = sorted(path.stem for path in (ROOT / "modules/services").glob("*.nix"))
OURS = ROOT / "nix/rehearsal/lib"


class Skipped(Exception):
    """A test that cannot be run here."""


def libs() -> list[Path]:
    """Ours, and nixpkgs' own where it is at hand."""
    return [OURS, *([nixpkgs_lib()] if os.environ.get("BERTH_NIXPKGS_LIB") else [])]


def nixpkgs_lib() -> Path:
    """nixpkgs' own lib."""
    named = os.environ.get("BERTH_NIXPKGS_LIB")
    if not named:
        raise Skipped("BERTH_NIXPKGS_LIB is not set")
    folder = Path(named).resolve()
    return folder if (folder / "default.nix").exists() else folder / "lib"


def collected(module):
    """The tests of a module in their order: functions whose names do not start with an underscore."""
    for name, value in vars(module).items():
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and not name.startswith("_"):
            yield name, value


def nix(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*NIX, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)


def evaluate(file: str, **arguments):
    """The value of a function in a file of this folder, called with arguments that JSON can say."""
    done = attempt(file, **arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr[-3000:])
    return json.loads(done.stdout)


def refused(file: str, **arguments) -> str:
    """What Nix says when it refuses to evaluate."""
    done = attempt(file, **arguments)
    assert done.returncode != 0, f"Nix accepted it: {done.stdout[:300]}"
    return done.stderr


def attempt(file: str, **arguments) -> subprocess.CompletedProcess:
    # JSON is passed as a Nix string literal of JSON's own escapes; only `${` means more to Nix than to JSON.
    literal = json.dumps(json.dumps(arguments)).replace("${", "\\${")
    expression = f"import {TESTS / file} (builtins.fromJSON {literal})"
    return nix("eval", "--json", "--impure", "--expr", expression)


def tenant(mode: str = "active", services: dict | None = None, **more) -> dict:
    """A tenant as the renderer writes it."""
    chosen = {name: {"enable": True} for name in SERVICES} if services is None else services
    base = {
        "name": "acme",
        "domain": "acme.example",
        "contact_email": "ann@acme.example",
        "mode": mode,
        "ssh_keys": [],
        "services": chosen,
    }
    if mode == "moved":
        base["moved_to"] = "192.0.2.9"
    return {**base, **more}


MACHINE = {"name": "vm1", "address": "10.0.0.2", "tls": "none", "system": "x86_64-linux"}
