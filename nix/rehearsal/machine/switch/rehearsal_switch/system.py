"""A system in the store, as nix/rehearsal/nixos/toplevel.nix lays it out."""

import json
import os
from functools import cached_property

PROFILE = "/nix/var/nix/profiles/system"


class System:
    def __init__(self, path: str):
        self.path = path

    @classmethod
    def of_program(cls, program: str) -> "System":
        """The system whose bin/ holds this program."""
        return cls(os.path.dirname(os.path.dirname(os.path.realpath(program))))

    @cached_property
    def architecture(self) -> str:
        return read(os.path.join(self.path, "system"))

    @cached_property
    def init_interface(self) -> str:
        """Which init system it has; none of this platform says so by itself."""
        try:
            return read(os.path.join(self.path, "init-interface-version"))
        except FileNotFoundError:
            return ""

    @cached_property
    def activation(self) -> dict:
        """What toplevel.nix calls `activation`: hostname, users, groups, tmpfiles, copies, nginx."""
        return json.loads(read(os.path.join(self.path, "activation.json")))

    @cached_property
    def etc(self) -> list[str]:
        """Paths below etc/, relative to it."""
        return sorted(files_below(os.path.join(self.path, "etc")))

    @cached_property
    def units(self) -> dict[str, str]:
        """Where each entry of the units' folder is, by its path there: `x.service`, `y.target.wants/x.service`."""
        folder = os.path.join(self.path, "systemd/units")
        return {entry: os.path.join(folder, entry) for entry in files_below(folder)}

    @cached_property
    def wanted(self) -> list[str]:
        """Units that multi-user.target wants, and those that these want if they are targets, and so on."""
        found: list[str] = []
        targets = ["multi-user.target"]
        while targets:
            target = targets.pop(0)
            prefix = f"{target}.wants/"
            for entry in sorted(self.units):
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
