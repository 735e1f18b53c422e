"""What the modules set exists upstream and has upstream's types, from NixOS 24.11 to today's (./upstream)."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from harness import MACHINE, MODES, OURS, ROOT, SERVICES, attempt, evaluate, libs, tenant

RELEASES = ["24.11", "26.05"]
TLS = ["none", "self-signed", "acme"]


def _check(release: str, tls: str = "acme", lib=OURS, **more) -> dict:
    machine = {**MACHINE, "tls": tls}
    found = evaluate("upstream/evaluate.nix", tenant=tenant(**more), machine=machine, lib=str(lib), release=release)
    assert found["set"] and found["failed"] == [], found["failed"]
    return found


def every_option_that_is_set_exists_upstream_in_every_mode() -> None:
    for lib in libs():
        for release in RELEASES:
            for mode in MODES:
                for tls in TLS:
                    _check(release, tls, lib, mode=mode)


def every_service_alone_sets_only_what_exists_upstream() -> None:
    for lib in libs():
        for release in RELEASES:
            for name in SERVICES:
                _check(release, lib=lib, services={name: {}})


def machines_with_state_have_the_program_that_copies_it() -> None:
    for mode in MODES:
        assert "restic" in _check("26.05", mode=mode)["programs"], mode
        assert "restic" not in _check("26.05", mode=mode, services={})["programs"], mode
    for name in SERVICES:
        assert "restic" in _check("24.11", services={name: {}})["programs"], name


@contextmanager
def _spoiled(service: str, before: str, after: str):
    """A copy of the modules with a mistake in a service's file."""
    with tempfile.TemporaryDirectory() as scratch:
        modules = Path(scratch) / "modules"
        shutil.copytree(ROOT / "modules", modules)
        file = modules / f"services/{service}.nix"
        text = file.read_text()
        assert before in text, before
        file.write_text(text.replace(before, after, 1))
        yield modules


def a_mistake_in_a_services_file_is_named_with_the_file_and_the_option() -> None:
    mistakes = [
        ("database.createLocally = true;", "database.createLocaly = true;", "The option `services.peertube.database.createLocaly' does not exist"),
        ("enableWebHttps = tls;", 'enableWebHttps = "yes";', "`services.peertube.enableWebHttps' is not of type `boolean'"),
        ("listenWeb = if tls then 443 else 80;", "listenWeb = 70000;", "`services.peertube.listenWeb' is not of type"),
    ]
    for before, after, said in mistakes:
        with _spoiled("peertube", before, after) as modules:
            # A path that Nix reads as one.
            done = attempt(
                "upstream/evaluate-at.nix",
                tenant=tenant(services={"peertube": {}}),
                machine=MACHINE,
                lib=str(OURS),
                release="24.11",
                modules=str(modules),
            )
            assert done.returncode != 0, f"{after} was accepted"
            for words in (said, "services/peertube.nix"):
                assert words in done.stderr, f"“{words}” is not in: {done.stderr[-1500:]}"
