"""The two programs: bin/rehearsal-switch, which bin/switch-to-configuration leaves all but boot entries to, and bin/rehearsal-boot."""

import fcntl
import os

from . import activate, switching
from .said import DONE, USAGE, say
from .system import PROFILE, System

ACTIONS = ("switch", "boot", "test", "dry-activate")
LOCK = "/run/nixos/switch-to-configuration.lock"


def switch_to_configuration(program: str, arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        say(f"usage: switch-to-configuration [{'|'.join(ACTIONS)}]")
        return USAGE
    action = arguments[0]
    if os.geteuid() != 0:
        say("only root can switch the machine to another system")
        return USAGE
    if not lock():
        say(f"could not acquire lock: another activation is running ({LOCK})")
        return USAGE
    if action == "boot":
        # There is no boot loader in a container: the next boot runs whatever the profile points at.
        return DONE
    system = System.of_program(program)
    if action == "dry-activate":
        return switching.announce(system)
    return switching.activate_and_start(system)


def rehearsal_boot(program: str, _arguments: list[str]) -> int:
    """Activates the profile's system at boot; it runs as a unit of the machine's image."""
    system = System(os.path.realpath(PROFILE))
    if not lock():
        say("another activation is running already")
        return USAGE
    activate.link("/run/booted-system", system.path)
    return switching.activate_and_start(system)


def lock() -> bool:
    """Whether nobody else holds the lock; it is this process's until it ends."""
    os.makedirs(os.path.dirname(LOCK), exist_ok=True)
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
