"""From one system to another, or what that would be."""

import os

from . import activate, plan, systemd
from .said import DONE, NEEDS_REBOOT, SCRIPT_FAILED, UNITS_FAILED, say
from .system import System, init_interface


def announce(system: System) -> int:
    if refuses(system):
        return NEEDS_REBOOT
    plan.make(system).announce()
    return DONE


def activate_and_start(system: System) -> int:
    if refuses(system):
        return NEEDS_REBOOT
    try:
        activate.accounts(system)
        activate.check_web_server(system)
        todo = plan.make(system)
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
    if same_processor and system.init_interface == init_interface("/run/booted-system"):
        return False
    what = "another init system" if same_processor else system.architecture
    say(f"{system.path} is for {what}, which this machine cannot become without a reboot")
    return True
