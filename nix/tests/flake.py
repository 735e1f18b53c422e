"""A rendered tenant's flake, evaluated and built the way the daemon does it."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from harness import ROOT, nix

TENANT = """{ berth.tenant = {
  name = "acme"; domain = "acme.example"; contact_email = "ann@acme.example"; mode = "active"; ssh_keys = [ ];
  services = { gitea.app_name = "Acme Git"; mastodon = { }; peertube = { }; };
}; }
"""
SYSTEM = f"{os.uname().machine}-linux"
MACHINE = '{ berth.machine = { name = "vm1"; address = "10.0.0.2"; tls = "none"; system = "%s"; }; }\n'
APPLY = """c: {
  drv = c.system.build.toplevel.drvPath;
  system = c.system.build.toplevel.outPath;
  manifest = c.berth.manifest;
}"""
FLAKE = """{
  inputs.berth.url = "path:%s";
  outputs = { berth, ... }: berth.lib.tenantFlake { tenant = ./tenant.nix; machine = ./machine.nix; };
}
"""


@contextmanager
def rendered(agent: bool = True, deploy_rs: bool = False, gitea: bool = False, machine: str = MACHINE):
    """A folder with a tenant's flake, and the platform it takes, as the daemon lays them out."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        for folder in ("modules", "nix"):
            shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("agent", "tests"))
        shutil.copy(ROOT / "nix/rehearsal/flake.nix", source)
        programs = ["agent/bin/berth-agent"] if agent else []
        programs += ["deploy-rs/bin/activate"] if deploy_rs else []
        programs += ["gitea/bin/gitea"] if gitea else []
        for program in programs:
            place = source / "nix/rehearsal" / program
            place.parent.mkdir(parents=True)
            place.write_text('#!/bin/sh\necho "${0##*/} $*"\n')
            place.chmod(0o755)
        if gitea:
            (source / "nix/rehearsal/gitea/version").write_text("1.26.0\n")
        stored = subprocess.run(["nix-store", "--add", source], capture_output=True, text=True, check=True).stdout.strip()
        flake = Path(scratch) / "flake"
        flake.mkdir()
        (flake / "flake.nix").write_text(FLAKE % stored)
        (flake / "tenant.nix").write_text(TENANT)
        (flake / "machine.nix").write_text(machine % SYSTEM)
        yield flake


def _evaluate(flake: Path):
    attribute = f"path:{flake}#nixosConfigurations.vm1.config"
    return nix("eval", "--no-write-lock-file", "--no-eval-cache", "--json", attribute, "--apply", APPLY)


def a_rendered_flake_evaluates_and_builds_to_a_system() -> None:
    with rendered() as flake:
        started = time.monotonic()
        done = _evaluate(flake)
        seconds = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        # A twentieth of a second on an idle machine; a bound that only a slow evaluator breaks.
        assert seconds < 3, f"evaluating took {seconds:.2f} s"
        found = json.loads(done.stdout)
        assert found["manifest"]["tenant"] == "acme"
        built = subprocess.run(["nix-store", "--realise", found["drv"]], capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        _check_layout(Path(found["system"]), found["manifest"])


def a_gitea_that_is_put_into_the_platform_runs_in_place_of_its_stand_in_and_everybody_sees_it() -> None:
    with rendered(gitea=True) as flake:
        done = _evaluate(flake)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        services = found["manifest"]["services"]
        assert {name: service["stand_in"] for name, service in services.items()} == {
            "gitea": False, "mastodon": True, "peertube": True,
        }  # fmt: skip
        assert services["gitea"]["data_version"] == "1.26"
        built = subprocess.run(["nix-store", "--realise", found["drv"]], capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        unit = (Path(found["system"]) / "systemd/units/gitea.service").read_text()
        said = subprocess.run([Path(found["system"]) / "sw/bin/gitea", "web"], capture_output=True, text=True, check=True)
        assert said.stdout == "gitea web\n" and "stand-in" not in unit, unit
        preparation = json.loads(Path(unit.split("prepare.py ")[1].split()[1]).read_text())
    settings = preparation["app_ini"]
    assert "ROOT_URL = http://git.acme.example/\n" in settings and "APP_NAME = Acme Git\n" in settings, settings
    # Names of secrets, not secrets: this file can be read by everybody.
    assert "SECRET_KEY = #secret_key#\n" in settings and set(preparation["secrets"]) == {
        *("secret_key", "internal_token", "oauth2_jwt_secret", "lfs_jwt_secret"),
    }
    assert {secret["name"].replace("-", "_") for secret in services["gitea"]["secrets"]} == set(preparation["secrets"])


def people_stay_signed_in_to_a_forge_when_it_starts_anew_or_moves() -> None:
    with rendered(gitea=True) as flake:
        attribute = f"path:{flake}#nixosConfigurations.vm1.config.services.gitea.settings.session.PROVIDER"
        done = nix("eval", "--no-write-lock-file", "--no-eval-cache", "--json", attribute)
        assert done.returncode == 0 and json.loads(done.stdout) == "db", done.stderr


def _check_layout(system: Path, manifest: dict) -> None:
    for program in ("bin/switch-to-configuration", "bin/rehearsal-switch", "bin/rehearsal-boot", "sw/bin/berth-agent"):
        assert os.access(system / program, os.X_OK), program
    assert json.loads((system / "etc/berth/manifest.json").read_text()) == manifest
    assert (system / "nixos-version").read_text() == "rehearsal"
    assert (system / "system").read_text() == f"{os.uname().machine}-linux"
    wanted = system / "systemd/units/multi-user.target.wants/gitea.service"
    assert wanted.resolve() == system / "systemd/units/gitea.service"
    used = subprocess.run([system / "bin/switch-to-configuration", "bogus"], capture_output=True, text=True, check=False)
    assert used.returncode == 1 and "usage:" in used.stderr, used.stderr


def without_an_agent_the_message_says_where_it_belongs() -> None:
    with rendered(agent=False) as flake:
        done = _evaluate(flake)
        assert done.returncode != 0 and "nix/rehearsal/agent/bin/berth-agent is missing" in done.stderr, done.stderr


def the_catalogue_and_the_lib_need_no_agent() -> None:
    with rendered(agent=False) as flake:
        source = (flake / "flake.nix").read_text().split('"path:')[1].split('"')[0]
        done = nix("eval", "--no-write-lock-file", "--json", f"path:{source}#catalogue")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads((ROOT / "modules/catalogue.json").read_text())
