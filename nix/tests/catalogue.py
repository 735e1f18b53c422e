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


def every_service_has_an_entry_with_a_schema() -> None:
    catalogue = json.loads(CHECKED_IN.read_text())
    assert catalogue["version"] == 1 and sorted(catalogue["services"]) == SERVICES
    keys = {"title", "summary", "homepage", "subdomain", "memory_mib", "disk_mib", "settings"}
    for name, entry in catalogue["services"].items():
        assert set(entry) == keys, name
        schema = entry["settings"]
        assert schema["additionalProperties"] is False and schema["type"] == "object"
        assert schema["properties"]["subdomain"]["default"] == entry["subdomain"]
        for setting, property_ in schema["properties"].items():
            assert property_["title"] and property_["description"].endswith("."), (name, setting)
            assert "type" in property_ and "default" in property_, (name, setting)
            if "pattern" in property_:
                assert re.match(r"\^.*\$$", property_["pattern"], re.DOTALL), property_["pattern"]


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
