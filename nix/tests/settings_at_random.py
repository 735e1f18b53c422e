"""Whatever the catalogue's schemas allow, Nix takes: a panel that checks its form against them never meets an error later."""

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor

from generate import value
from harness import MODES, OURS, ROOT, evaluate, tenant

COUNT = 300
# Evaluated by one process; its memory grows with them.
BATCH = 25


def _specs(seed: int) -> list[dict]:
    chance = random.Random(seed)
    services = json.loads((ROOT / "modules/catalogue.json").read_text())["services"]
    specs = []
    for number in range(COUNT):
        chosen = chance.sample(sorted(services), chance.randint(1, len(services)))
        settings = {name: value(services[name]["settings"], chance) for name in chosen}
        # The API refuses two services at one sub-domain.
        for name in chosen:
            settings[name]["subdomain"] = f"{name}{number}"
        specs.append(tenant(chance.choice(MODES), settings))
    return specs


def _evaluate(seed: int, specs: list[dict]) -> None:
    machine = {"name": "vm1", "address": "10.0.0.2", "tls": "acme", "system": "x86_64-linux"}
    arguments = {"machine": machine, "lib": str(OURS), "release": "26.05" if specs[0]["mode"] == "active" else "24.11"}
    try:
        found = evaluate("upstream/evaluate-many.nix", tenants=specs, **arguments)
        assert all(system["set"] and not system["failed"] for system in found), [system["failed"] for system in found]
    except AssertionError as error:
        if len(specs) == 1:
            raise AssertionError(f"seed {seed}: {json.dumps(specs[0])}: {error}") from error
        half = len(specs) // 2
        _evaluate(seed, specs[:half])
        _evaluate(seed, specs[half:])
        raise


def every_specification_that_the_schemas_allow_evaluates() -> None:
    seed = int(os.environ.get("BERTH_SEED") or random.randrange(2**32))
    specs = _specs(seed)
    batches = [specs[start : start + BATCH] for start in range(0, COUNT, BATCH)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
        for _ in workers.map(lambda batch: _evaluate(seed, batch), batches):
            pass
