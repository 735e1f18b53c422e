"""What a tenant's flake gives NixOps4."""

import json
import os
import shutil
from pathlib import Path

from flake import rendered
from harness import TESTS, Skipped, evaluate, nix, nixpkgs_lib

VACANT = "{ berth.tenant = null; }\n"
OUTPUTS = {"deployment": {"system", "revision", "operation"}, "state": set()}


def _root(flake: Path, attribute: str = "nixops4", function: str = "") -> dict:
    apply = function or f"import {TESTS / 'nixops4.nix'}"
    done = nix("eval", "--no-write-lock-file", "--no-eval-cache", "--impure", "--json", f"path:{flake}#{attribute}", "--apply", apply)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _system(flake: Path) -> str:
    done = nix("eval", "--no-write-lock-file", "--raw", f"path:{flake}#nixosConfigurations.vm1.config.system.build.toplevel")
    assert done.returncode == 0, done.stderr
    return done.stdout


def _with_provider(flake: Path) -> None:
    """As the daemon lays its platform out: the provider is a link to a program of its host."""
    text = (flake / "flake.nix").read_text()
    source = Path(text.split('"path:')[1].split('"')[0])
    copy = flake.parent / "with-provider"
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    for folder in [copy, *copy.rglob("*")]:
        folder.chmod(0o755)
    link = copy / "nix/rehearsal/nixops4-provider/bin/berth-nixops4-provider"
    link.parent.mkdir(parents=True)
    link.symlink_to("/bin/sh")
    (flake / "flake.nix").write_text(text.replace(str(source), str(copy)))


def a_tenants_flake_is_a_root_that_nixops4_can_evaluate() -> None:
    with rendered() as flake:
        _with_provider(flake)
        root = _root(flake)
        assert root["_type"] == "nixops4Component"
        members = root["members"]
        assert set(members) == {"machine", "state"}
        for member in members.values():
            # The fields that it reads; each is needed.
            assert set(member) == {"provider", "type", "inputs", "outputsSkeleton", "state"}
            assert set(member["outputsSkeleton"]) == OUTPUTS[member["type"]]
            provider = member["provider"]
            assert provider["type"] == "stdio" and provider["args"] == []
            assert os.access(provider["executable"], os.X_OK), provider
            assert Path(provider["executable"]).name == "berth-nixops4-provider"
        assert members["machine"]["inputs"] == {"tenant": "acme", "machine": "vm1", "system": _system(flake)}
        assert members["state"]["inputs"] == {"tenant": "acme", "sensitive": []}
        # Else NixOps4 passes over a machine whose inputs are what they were, whatever it runs.
        assert members["machine"]["state"] is None


def evaluating_the_root_builds_nothing() -> None:
    with rendered() as flake:
        _with_provider(flake)
        context = _root(flake, function="root: builtins.getContext (root.rootFunction { resourceProviderSystem = \"x86_64-linux\"; }).members.machine.resource.inputs.system")
        assert context == {}, context


def a_vacant_machine_has_no_state() -> None:
    with rendered() as flake:
        _with_provider(flake)
        (flake / "tenant.nix").write_text(VACANT)
        members = _root(flake)["members"]
        assert set(members) == {"machine"} and members["machine"]["inputs"]["tenant"] is None


def without_a_provider_the_message_says_where_it_belongs() -> None:
    with rendered() as flake:
        done = nix("eval", "--no-write-lock-file", "--impure", "--json", f"path:{flake}#nixops4", "--apply", f"import {TESTS / 'nixops4.nix'}")
        assert done.returncode != 0 and "bin/berth-nixops4-provider is missing" in done.stderr, done.stderr


def the_root_is_the_same_on_real_nixos() -> None:
    root = evaluate("flake-with-stand-in.nix", lib=str(nixpkgs_lib()))["nixops4"]
    assert root["members"]["machine"]["inputs"]["machine"] == "vm1"
    assert root["members"]["machine"]["provider"]["executable"].endswith("/bin/berth-nixops4-provider")


def nixops4s_own_modules_come_to_the_same_root() -> None:
    """With BERTH_NIXOPS4 naming a checkout of NixOps4, and nixpkgs' lib."""
    checkout = os.environ.get("BERTH_NIXOPS4")
    if not checkout:
        raise Skipped("BERTH_NIXOPS4 is not set")
    lib = nixpkgs_lib()
    with rendered() as flake:
        _with_provider(flake)
        theirs = (
            f"component: import {TESTS / 'nixops4.nix'} ((import {checkout}/nix/lib/lib.nix "
            f"{{ lib = import {lib}; self = null; selfWithSystem = null; }}).mkRoot {{ modules = [ component ]; }})"
        )
        assert _root(flake, "modules.nixops4Component.default", theirs) == _root(flake)
