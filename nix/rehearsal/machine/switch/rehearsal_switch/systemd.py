"""What is asked of systemd."""

from . import json, programs

SYSTEMCTL = "/usr/bin/systemctl"


def call(*arguments: str) -> bool:
    """Runs systemctl; its own messages go where ours go. Whether it succeeded."""
    return programs.call([SYSTEMCTL, *arguments]) == 0


def reload_manager() -> None:
    call("daemon-reload")


def states(units: list[str]) -> dict[str, dict[str, str]]:
    """The states `active` and `sub` of each unit, by its name. All are asked for at once: `systemctl show` asks one by one."""
    if not units:
        return {}
    code, listed = programs.ask([SYSTEMCTL, "list-units", "--all", "--output=json"])
    if code != 0:
        raise OSError(f"{SYSTEMCTL} list-units ended with {code}")
    found = {unit["unit"]: unit for unit in json.parse(listed)}
    # Of what nobody needs, systemd knows nothing.
    return {unit: found.get(unit, {"active": "inactive", "sub": "dead"}) for unit in units}


def is_up(state: dict[str, str]) -> bool:
    return state["active"] in ("active", "activating", "reloading", "refreshing") and not has_failed(state)


def has_failed(state: dict[str, str]) -> bool:
    """A unit that waits for its next automatic restart has failed, too."""
    return state["active"] == "failed" or state["sub"].startswith("auto-restart")
