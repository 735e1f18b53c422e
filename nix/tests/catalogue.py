"""The catalogue that is checked in is the one that the modules make."""

import json
import re

from harness import MACHINE, OURS, ROOT, SERVICES, evaluate, nixpkgs_lib, tenant

CHECKED_IN = ROOT / "modules/catalogue.json"


def the_checked_in_catalogue_is_up_to_date() -> None:
    import subprocess

    made = subprocess.run(
        [ROOT / "nix/update-catalogue", "--print"], capture_output=True, text=True, timeout=120, check=True
    )
    assert made.stdout == CHECKED_IN.read_text(), "run nix/update-catalogue"


def the_pages_of_the_services_are_up_to_date() -> None:
    import subprocess

    check = subprocess.run([ROOT / "nix/update-pages", "--check"], capture_output=True, text=True, timeout=120, check=False)
    assert check.returncode == 0, f"run nix/update-pages: {check.stdout} {check.stderr[-500:]}"


def every_service_has_an_entry_with_a_schema() -> None:
    catalogue = json.loads(CHECKED_IN.read_text())
    assert catalogue["version"] == 1 and sorted(catalogue["services"]) == SERVICES
    keys = {"title", "summary", "homepage", "subdomain", "memory_mib", "disk_mib", "settings", "sources", "fixed", "groups"}
    for name, entry in catalogue["services"].items():
        assert set(entry) == keys, name
        schema = entry["settings"]
        assert schema["additionalProperties"] is False and schema["type"] == "object"
        assert schema["properties"]["subdomain"]["default"] == entry["subdomain"]
        assert all("default" in property_ for property_ in schema["properties"].values()), name
        _check_properties(name, schema)


def _check_properties(where: str, schema: dict) -> None:
    for setting, property_ in schema["properties"].items():
        at = f"{where}/{setting}"
        assert property_["title"] and property_["description"].endswith(".") and "type" in property_, at
        if "pattern" in property_:
            assert re.match(r"\^.*\$$", property_["pattern"], re.DOTALL), (at, property_["pattern"])
        if "properties" in property_:
            _check_properties(at, property_)


def every_setting_has_one_place_in_the_form_and_what_is_fixed_exists() -> None:
    for name, entry in json.loads(CHECKED_IN.read_text())["services"].items():
        placed = [setting for group in entry["groups"] for setting in group["settings"]]
        assert sorted(placed) == sorted(entry["settings"]["properties"]), name
        assert all(reason.endswith(".") for reason in entry["fixed"].values()), name
        assert set(entry["fixed"]) <= {*placed, "host"}, name
        assert entry["sources"] and all(source.startswith("https://") for source in entry["sources"]), name


def the_defaults_of_the_schema_are_those_of_the_modules() -> None:
    catalogue = json.loads(CHECKED_IN.read_text())
    defaults = {
        name: {key: p["default"] for key, p in entry["settings"]["properties"].items()}
        for name, entry in catalogue["services"].items()
    }
    systems = [
        evaluate("system.nix", tenant=tenant(services=services), machine=MACHINE, lib=str(OURS))["drv"]
        for services in (defaults, {name: {} for name in SERVICES})
    ]
    assert systems[0] == systems[1]


def nixpkgs_own_lib_makes_the_same_catalogue() -> None:
    made = evaluate("catalogue-with.nix", lib=str(nixpkgs_lib()))
    assert made == json.loads(CHECKED_IN.read_text())
