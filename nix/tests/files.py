"""Every Nix file is one, and only a service's own file names it."""

import re
import subprocess

from harness import ROOT, SERVICES


def _nix_files():
    found = [ROOT / "flake.nix"]
    for folder in ("modules", "nix"):
        found += sorted((ROOT / folder).rglob("*.nix"))
    return found


def every_nix_file_parses() -> None:
    subprocess.run(
        ["nix-instantiate", "--parse", *map(str, _nix_files())], stdout=subprocess.DEVNULL, check=True, timeout=60
    )


def lines_are_not_endless_and_end_without_blanks() -> None:
    for file in _nix_files():
        for number, line in enumerate(file.read_text().splitlines(), 1):
            assert line == line.rstrip() and "\t" not in line, f"{file}:{number}"


def no_module_but_its_own_names_a_service() -> None:
    names = re.compile("|".join(SERVICES), re.IGNORECASE)
    for file in (ROOT / "modules").rglob("*.nix"):
        if file.parent.name != "services":
            assert not names.search(file.read_text()), file
