"""The two programs: bin/switch-to-configuration and bin/rehearsal-boot."""

import fcntl
import os
import sys
from contextlib import contextmanager

from . import activate, plan, systemd
from .system import PROFILE, System

# Exit codes, as NixOS' switch-to-configuration-ng has them.
DONE = 0
USAGE = 1
SCRIPT_FAILED = 2
UNITS_FAILED = 4
NEEDS_REBOOT = 100

ACTIONS = ("switch", "boot", "test", "dry-activate")
LOCK = "/run/nixos/switch-to-configuration.lock"


def switch_to_configuration(program: str, arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        say(f"usage: {program} [{'|'.join(ACTIONS)}]")
        return USAGE
    action = arguments[0]
    if os.geteuid() != 0:
        say("only root can switch the machine to another system")
        return USAGE
    system = System.of_program(program)
    with lock() as locked:
        if not locked:
            say(f"could not acquire lock: another activation is running ({LOCK})")
            return USAGE
        if action == "boot":
            # There is no boot loader in a container: the next boot runs whatever the profile points at.
            return DONE
        if action == "dry-activate":
            return announce(system)
        return activate_and_start(system)


def rehearsal_boot(program: str, _arguments: list[str]) -> int:
    """Activates the profile's system at boot; it runs as a unit of the machine's image."""
    system = System(os.path.realpath(PROFILE))
    with lock() as locked:
        if not locked:
            say("another activation is running already")
            return USAGE
        activate.link("/run/booted-system", system.path)
        return activate_and_start(system)


def announce(system: System) -> int:
    if refuses(system):
        return NEEDS_REBOOT
    plan.make(system, say).announce()
    return DONE


def activate_and_start(system: System) -> int:
    if refuses(system):
        return NEEDS_REBOOT
    try:
        activate.accounts(system)
        activate.check_web_server(system)
        todo = plan.make(system, say)
        todo.remember()
        todo.stop_removed()
        say("activating the configuration...")
        activate.files(system)
        activate.units(system)
        if todo.units_changed:
            systemd.reload_manager()
        activate.temporary_files(system)
    except activate.ScriptFailed as error:
        say(f"activation script failed: {error}")
        return SCRIPT_FAILED
    failed = todo.run()
    if failed:
        say(f"warning: the following units failed: {', '.join(failed)}")
        return UNITS_FAILED
    return DONE


def refuses(system: System) -> bool:
    """Whether only a reboot could bring the system, which is said: another processor's, or another init system."""
    same_processor = system.architecture.split("-")[0] == os.uname().machine
    if same_processor and system.init_interface == System("/run/booted-system").init_interface:
        return False
    what = "another init system" if same_processor else system.architecture
    say(f"{system.path} is for {what}, which this machine cannot become without a reboot")
    return True


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def lock():
    os.makedirs(os.path.dirname(LOCK), exist_ok=True)
    with open(LOCK, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
