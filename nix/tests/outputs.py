"""The repository's own flake: its outputs, its template, and the daemon as a service."""

import ast
import builtins
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from harness import ROOT, evaluate, libs, nix

PROGRAMS = ["berth", "berthd", "berth-agent", "berth-nixops4-provider"]

STRICT = {
    "DynamicUser": True,
    "ProtectSystem": "strict",
    "ProtectHome": True,
    "PrivateTmp": True,
    "NoNewPrivileges": True,
    "CapabilityBoundingSet": "",
    "MemoryDenyWriteExecute": True,
    "StateDirectory": "berth",
    "StateDirectoryMode": "0700",
}


def _found(lib) -> dict:
    return evaluate("flake-with-stand-in.nix", lib=str(lib))


def the_flake_has_what_it_promises_on_every_system() -> None:
    for lib in libs():
        found = _found(lib)
        outputs = found["outputs"]
        assert {"tenant", "berthd", "default"} == set(outputs["nixosModules"])
        assert {"tenantSystem", "tenantFlake", "tenantBatch"} == set(outputs["lib"])
        assert {"tenant", "default"} == set(outputs["templates"]) and outputs["overlays"] == ["default"]
        systems = {"x86_64-linux", "aarch64-linux"}
        assert set(outputs["devShells"]) == set(outputs["formatter"]) == set(found["packages"]) == systems
        for packages in found["packages"].values():
            assert packages == {"default": "berth", **{name: name for name in PROGRAMS}}
        assert found["shells"]["x86_64-linux"].startswith("shell-of-")


def the_template_evaluates() -> None:
    for lib in libs():
        found = _found(lib)
        assert found["checks"] == {
            "template": "toplevel",
            "vm-daemon": "vm-test-run-berth-daemon",
            "vm-tenant": "vm-test-run-berth-tenant",
        }
        assert found["template"] == ["README.md", "flake.nix", "machine.nix", "tenant.nix"]


def the_scripts_of_the_tests_on_virtual_machines_are_python_that_names_only_what_there_is() -> None:
    """They are run where there is KVM; here it is known what they would stumble over first."""
    for lib in libs():
        for name, test in _found(lib)["scripts"].items():
            tree = ast.parse(test["testScript"], name)
            known = {*dir(builtins), "start_all", "subtest", *test["machines"]}
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    known |= {alias.name for alias in node.names}
                elif isinstance(node, ast.FunctionDef):
                    arguments = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
                    known |= {node.name, *(argument.arg for argument in arguments if argument)}
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    known.add(node.id)
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert used <= known, (name, used - known)
            assert used & set(test["machines"]) == set(test["machines"]), (name, test["machines"])


def the_daemon_as_a_service_is_shut_in_and_sets_only_what_exists_upstream() -> None:
    for lib in libs():
        daemon = _found(lib)["berthd"]
        assert daemon["failed"] == []
        assert {name: daemon["service"][name] for name in STRICT} == STRICT
        assert daemon["service"]["ExecStart"].startswith("/nix/store/") and "/bin/berthd serve --config " in daemon["service"]["ExecStart"]
        assert daemon["start_limit"] == 0, "systemd gives up on a daemon whose database is away for long"
        assert daemon["environment"]["BERTH_DATABASE_URL"] == "postgres:///berthd?host=/run/postgresql"
        assert daemon["settings"]["provider"] == {"name": "Harbour", "public_url": "https://berth.example.org"}
        assert daemon["host"]["forceSSL"] and "proxy_buffering off;" in daemon["host"]["locations"]["/"]["extraConfig"]
        assert daemon["ports"] == [80, 443]


@contextmanager
def _repository():
    """The repository as a flake, and a stand-in for nixpkgs as another."""
    with tempfile.TemporaryDirectory() as scratch:
        berth, nixpkgs = Path(scratch) / "berth", Path(scratch) / "nixpkgs"
        for folder in ("modules", "nix"):
            shutil.copytree(ROOT / folder, berth / folder)
        for file in ("flake.nix", "Cargo.toml"):
            shutil.copy(ROOT / file, berth)
        for folder in ("upstream", "tests", "rehearsal/lib"):
            shutil.copytree(ROOT / "nix" / folder, nixpkgs / folder)
        (nixpkgs / "flake.nix").write_text("{ outputs = _: import ./tests/stand-in.nix { lib = ./rehearsal/lib; }; }")
        yield ["--no-write-lock-file", "--override-input", "nixpkgs", f"path:{nixpkgs}", f"path:{berth}"]


def nix_shows_and_checks_the_repositorys_flake_without_a_word_of_complaint() -> None:
    with _repository() as arguments:
        for verb, more in (("show", []), ("check", ["--no-build"])):
            done = nix("flake", verb, *more, *arguments)
            assert done.returncode == 0, done.stderr
            # Nix says that it does not keep the input that it was told to take, and that it knows no more of these outputs.
            expected = r"warning: (not writing modified lock file|unknown flake output '(lib|catalogue|modules)')|warning: the group 'nixbld'"
            complaints = [line for line in done.stderr.splitlines() if re.match(r"(warning|error)", line)]
            assert all(re.match(expected, line) for line in complaints), done.stderr
