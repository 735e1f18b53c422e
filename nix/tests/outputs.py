"""The repository's own flake: its outputs, its template, and the daemon as a service."""

from harness import evaluate, libs

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
            assert packages == {"berth": "berth", "berthd": "berthd", "berth-agent": "berth-agent", "default": "berth"}
        assert found["shells"]["x86_64-linux"].startswith("shell-of-")


def the_template_evaluates() -> None:
    for lib in libs():
        found = _found(lib)
        assert found["check"] == "toplevel"
        assert found["template"] == ["README.md", "flake.nix", "machine.nix", "tenant.nix"]


def the_daemon_as_a_service_is_shut_in_and_sets_only_what_exists_upstream() -> None:
    for lib in libs():
        daemon = _found(lib)["berthd"]
        assert daemon["failed"] == []
        assert {name: daemon["service"][name] for name in STRICT} == STRICT
        assert daemon["service"]["ExecStart"].startswith("/nix/store/") and "/bin/berthd serve --config " in daemon["service"]["ExecStart"]
        assert daemon["environment"]["BERTH_DATABASE_URL"] == "postgres:///berthd?host=/run/postgresql"
        assert daemon["settings"]["provider"] == {"name": "Harbour", "public_url": "https://berth.example.org"}
        assert daemon["host"]["forceSSL"] and "proxy_buffering off;" in daemon["host"]["locations"]["/"]["extraConfig"]
        assert daemon["ports"] == [80, 443]
