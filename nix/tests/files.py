"""Every Nix file is one, and only a service's own file names it."""

import re
import shutil
import subprocess

from harness import ROOT, SERVICES, Skipped


def _nix_files():
    found = [ROOT / "flake.nix"]
    for folder in ("modules", "nix"):
        found += sorted((ROOT / folder).rglob("*.nix"))
    return found


def every_nix_file_parses() -> None:
    subprocess.run(
        ["nix-instantiate", "--parse", *map(str, _nix_files())], stdout=subprocess.DEVNULL, check=True, timeout=60
    )


def every_nix_file_is_formatted() -> None:
    if shutil.which("nixfmt") is None:
        raise Skipped("nixfmt is not installed")
    done = subprocess.run(["nixfmt", "--check", *map(str, _nix_files())], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def no_module_but_its_own_names_a_service() -> None:
    names = re.compile("|".join(SERVICES), re.IGNORECASE)
    for file in (ROOT / "modules").rglob("*.nix"):
        if file.parent.name != "services":
            assert not names.search(file.read_text()), file
