"""A system in the store, as nix/rehearsal/nixos/toplevel.nix lays it out."""

import os

from . import json

PROFILE = "/nix/var/nix/profiles/system"


class System:
    def __init__(self, path: str):
        self.path = path
        self.architecture = read(os.path.join(path, "system"))
        self.init_interface = init_interface(path)
        # What toplevel.nix calls `activation`: hostname, users, groups, tmpfiles, copies, nginx.
        self.activation = json.parse(read(os.path.join(path, "activation.json")))
        # Paths below etc/, relative to it.
        self.etc = sorted(files_below(os.path.join(path, "etc")))
        # Where each entry of the units' folder is, by its path there: `x.service`, `y.target.wants/x.service`.
        folder = os.path.join(path, "systemd/units")
        self.units = {entry: os.path.join(folder, entry) for entry in files_below(folder)}
        self.wanted = wanted(self.units)

    @classmethod
    def of_program(cls, program: str) -> "System":
        """The system whose bin/ holds this program."""
        return cls(os.path.dirname(os.path.dirname(os.path.realpath(program))))


def init_interface(system: str) -> str:
    """Which init system a system has; none of this platform says so by itself."""
    try:
        return read(os.path.join(system, "init-interface-version"))
    except FileNotFoundError:
        return ""


def wanted(units: dict[str, str]) -> list[str]:
    """Units that multi-user.target wants, and those that these want if they are targets, and so on."""
    found: list[str] = []
    targets = ["multi-user.target"]
    while targets:
        target = targets.pop(0)
        prefix = f"{target}.wants/"
        for entry in sorted(units):
            unit = entry.removeprefix(prefix)
            if entry.startswith(prefix) and unit not in found:
                found.append(unit)
                if unit.endswith(".target"):
                    targets.append(unit)
    return found


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def files_below(folder: str):
    """Paths of files and links below a folder, relative to it."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), folder)
