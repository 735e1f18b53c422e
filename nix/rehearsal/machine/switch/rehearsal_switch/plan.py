"""What has to stop, reload, restart and start: the difference between the units that are installed and a system's.

A plan is written down before the first change and forgotten after the last. Whoever finds one that was left over
adds it to its own: the units that are installed then are the new ones already, and would show no difference.
"""

import os

from . import systemd
from .activate import UNITS, installed_units
from .said import say
from .system import System, read

# A line for each unit: what is to be done, and its name.
LEFT_OVER = "/run/nixos/rehearsal-plan"
MASKED = "/dev/null"


class Plan:
    def __init__(self, system: System, known: list[str], failed_before: list[str], units_changed: bool):
        self.wanted = system.wanted
        # All units of the system, but for templates.
        self.known = known
        self.failed_before = set(failed_before)
        # Whether systemd has to read its units again, which takes longer than all else.
        self.units_changed = units_changed
        self.stop: list[str] = []
        self.reload: list[str] = []
        self.restart: list[str] = []
        self.start: list[str] = []
        # Changed, and to be left as they are until they are started anew.
        self.skip: list[str] = []

    def announce(self) -> None:
        """Says what would happen, in the words and the order of NixOS' switch-to-configuration-ng."""
        self.would("stop the following units", self.stop)
        self.would("NOT stop the following changed units", self.skip)
        say("would activate the configuration...")
        self.would("reload the following units", self.reload)
        self.would("restart the following units", self.restart)
        self.would("start the following units", self.start)

    def would(self, what: str, units: list[str]) -> None:
        if units:
            say(f"would {what}: {', '.join(sorted(units))}")

    def remember(self) -> None:
        todo = {"stop": self.stop, "reload": self.reload, "restart": self.restart}
        with open(f"{LEFT_OVER}.new", "w", encoding="utf-8") as file:
            file.writelines(f"{verb} {unit}\n" for verb, units in todo.items() for unit in units)
        os.replace(f"{LEFT_OVER}.new", LEFT_OVER)

    def stop_removed(self) -> None:
        """Stops what the new system does not have, while systemd still knows it."""
        if self.stop:
            say(f"stopping the following units: {', '.join(sorted(self.stop))}")
            systemd.call("stop", "--", *self.stop)

    def run(self) -> list[str]:
        """Reloads, restarts and starts. Gives the units that have failed, among them those that others depend on."""
        self.each("reload", self.reload)
        self.each("restart", self.restart)
        # What a restart brought up, or took down with it, is known only now.
        states = systemd.states(self.known)
        self.start = [unit for unit in self.wanted if not systemd.is_up(states[unit]) and unit not in self.restart]
        if self.start:
            self.each("start", self.start)
            states = systemd.states(self.known)
        os.unlink(LEFT_OVER)
        touched = {*self.wanted, *self.restart, *self.reload}
        return [unit for unit in failed(states) if unit in touched or unit not in self.failed_before]

    def each(self, verb: str, units: list[str]) -> None:
        if units:
            say(f"{verb}ing the following units: {', '.join(sorted(units))}")
            if verb != "reload":
                # Forgets failures, and how often the units were started of late: that limit is for crashes.
                systemd.call("reset-failed", "--", *units)
            systemd.call(verb, "--", *units)


def make(system: System) -> Plan:
    old = {name: os.path.join(UNITS, name) for name in installed_units() if "/" not in name}
    new = {name: path for name, path in system.units.items() if "/" not in name}
    left_over = find_left_over()
    known = sorted({*old, *new, *(unit for units in left_over.values() for unit in units)})
    units = sorted({*system.wanted, *(unit for unit in new if "@." not in unit)})
    states = systemd.states([*known, *units])
    units_changed = bool(left_over) or contents(system.units) != contents(
        {entry: os.path.join(UNITS, entry) for entry in installed_units()}
    )
    plan = Plan(system, units, failed(states), units_changed)
    for unit in known:
        gone = unit not in new or os.path.realpath(new[unit]) == MASKED
        if gone:
            if systemd.is_up(states[unit]):
                plan.stop.append(unit)
        elif systemd.is_up(states[unit]):
            change(plan, unit, old.get(unit), new[unit], left_over)
    plan.start = [unit for unit in system.wanted if not systemd.is_up(states[unit])]
    return plan


def failed(states: dict[str, dict[str, str]]) -> list[str]:
    return [unit for unit, state in states.items() if systemd.has_failed(state)]


def change(plan: Plan, unit: str, old: str | None, new: str, left_over: dict[str, list[str]]) -> None:
    """Plans for a unit that is up and stays."""
    if unit.endswith(".target"):
        # A target does nothing itself; what it wants is started.
        return
    text = read(new)
    before = read(old) if old is not None and os.path.exists(old) else ""
    if text == before:
        if unit in left_over.get("restart", []):
            plan.restart.append(unit)
        elif unit in left_over.get("reload", []):
            plan.reload.append(unit)
    elif without_reload_triggers(text) == without_reload_triggers(before) or "X-ReloadIfChanged=true" in text:
        plan.reload.append(unit)
    elif "X-RestartIfChanged=false" in text:
        plan.skip.append(unit)
    else:
        plan.restart.append(unit)


def contents(units: dict[str, str]) -> dict[str, str]:
    """What each entry says; a link to another entry says its name only, and a link to nowhere nothing."""
    return {entry: read(path) if "/" not in entry and os.path.exists(path) else "" for entry, path in units.items()}


def without_reload_triggers(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("X-Reload-Triggers=")]


def find_left_over() -> dict[str, list[str]]:
    try:
        lines = read(LEFT_OVER).splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, list[str]] = {"stop": [], "reload": [], "restart": []}
    for line in lines:
        verb, unit = line.split(" ", 1)
        found[verb].append(unit)
    return found
