"""With a whole nixpkgs tree (BERTH_NIXPKGS), the very derivation of a tenant's NixOS system is evaluated."""

import os
import subprocess
from functools import cache
from pathlib import Path

from harness import MACHINE, MODES, Skipped, evaluate, nixpkgs_lib, tenant

# What a customer may give, so that as much as possible of a service's file is looked at.
SETTINGS = {
    "gitea": {
        "app_name": "Acme “Git”",
        "smtp": {"host": "smtp.example.net", "from": "git@acme.example", "username": "acme", "password": 1},
        "object_storage": {"endpoint": "https://s3.example.net", "bucket": "acme", "access_key": "AKIA", "secret_key": 2},
    },
    "pages": {"sites": [{"name": "www", "domain": "www.acme.example", "repository": "https://git.example/acme/www"}]},
}


def _nixpkgs() -> str:
    named = os.environ.get("BERTH_NIXPKGS")
    if not named:
        raise Skipped("BERTH_NIXPKGS is not set")
    return str(Path(named).resolve())


def _system(services: dict | None, tls: str = "acme", mode: str = "active") -> dict:
    whole = None if services is None else tenant(mode, services)
    found = evaluate("upstream/tree.nix", tenant=whole, machine={**MACHINE, "tls": tls}, nixpkgs=_nixpkgs())
    assert found["drv"].startswith("/nix/store/") and f"-nixos-system-{MACHINE['name']}-" in found["drv"], found["drv"]
    return found


@cache
def _possible() -> dict:
    return {name: SETTINGS.get(name, {}) for name in _system({})["possible"]}


def a_vacant_machine_is_a_system_of_nixos() -> None:
    assert _system(None)["services"] == []


def every_service_that_the_tree_has_makes_a_system_of_nixos_in_every_mode() -> None:
    services = _possible()
    assert {"gitea", "pages"} <= set(services), services
    drvs = {mode: _system(services, mode=mode) for mode in MODES}
    assert all(found["services"] == sorted(services) for found in drvs.values())
    assert len({found["drv"] for found in drvs.values()}) == len(MODES), drvs


def every_way_of_tls_makes_a_system_of_nixos() -> None:
    drvs = {_system(_possible(), tls)["drv"] for tls in ("none", "self-signed", "acme")}
    assert len(drvs) == 3


def the_units_of_a_system_are_those_that_its_manifest_names() -> None:
    """Written in the derivation that the system is made of, by the tree's own modules."""
    drv = _system(_possible())["drv"]
    closure = subprocess.run(["nix-store", "--query", "--requisites", drv], capture_output=True, text=True, check=True, timeout=120)
    names = {line.rsplit("/", 1)[1].split("-", 1)[1] for line in closure.stdout.split()}
    for unit in ("gitea.service", "nginx.service", "postgresql.service"):
        assert f"unit-{unit}.drv" in names, unit


def the_machines_of_the_tests_on_virtual_machines_are_virtual_machines_of_nixos() -> None:
    """With the tree's modules, the repository's flake, and nixpkgs' own lib of today."""
    found = evaluate("upstream/machines.nix", nixpkgs=_nixpkgs(), nixpkgsLib=str(nixpkgs_lib()))
    assert {name: sorted(machines) for name, machines in found.items()} == {
        "vm-daemon": ["postgresql", "sqlite"],
        "vm-tenant": ["elsewhere", "provider", "target"],
    }
    drvs = [drv for machines in found.values() for drv in machines.values()]
    assert all(drv.endswith("-nixos-vm.drv") for drv in drvs) and len(set(drvs)) == len(drvs), drvs
