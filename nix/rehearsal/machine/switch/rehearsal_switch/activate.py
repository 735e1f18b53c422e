"""All that is done besides units: accounts, files below /etc, links, temporary files."""

import grp
import os
import pwd

from .programs import ask
from .system import System, files_below

# Volatile: a reboot forgets these units, and rehearsal-boot installs those of the committed system.
UNITS = "/run/systemd/system"
STATIC = "/etc/static"
NGINX = "/usr/sbin/nginx"


class ScriptFailed(Exception):
    """Something that must be in place before units start could not be put there."""


def accounts(system: System) -> None:
    """Makes the accounts that are missing. An account that no system declares any more stays, as its files do."""
    users, groups = system.activation["users"], system.activation["groups"]
    known_users = {entry.pw_name for entry in pwd.getpwall()}
    known_groups = {entry.gr_name: entry.gr_mem for entry in grp.getgrall()}
    lines = [f"g {name}" for name in groups if name not in known_groups]
    for name, user in users.items():
        group = user["group"]
        if group not in groups and group not in known_groups:
            lines.append(f"g {group}")
        if name not in known_users:
            shell = "/bin/bash" if user["person"] else "/usr/sbin/nologin"
            description = user["description"].replace('"', "'")
            lines.append(f'u {name} -:{group} "{description}" {user["home"]} {shell}')
    memberships = [(name, group) for name, user in users.items() for group in user["extraGroups"]]
    memberships += [(member, group) for group, members in groups.items() for member in members]
    lines += [f"m {name} {group}" for name, group in memberships if name not in known_groups.get(group, [])]
    if lines:
        run(["/usr/bin/systemd-sysusers", "-"], "\n".join(lines) + "\n")


def check_web_server(system: System) -> None:
    """A configuration that nginx refuses ends the activation before anything that runs is touched."""
    if not system.activation["nginx"]:
        return
    os.makedirs("/run/nginx", exist_ok=True)
    os.makedirs("/var/log/nginx", exist_ok=True)
    configuration = os.path.join(system.path, "etc/rehearsal/nginx.conf")
    run([NGINX, "-t", "-q", "-c", configuration])


def files(system: System) -> None:
    """Points /run/current-system and /etc at the system."""
    old = former(STATIC)
    link(STATIC, os.path.join(system.path, "etc"))
    copies = system.activation["copies"]
    for path in system.etc:
        target = os.path.join("/etc", path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if path in copies:
            copy(os.path.join(STATIC, path), target, int(copies[path], 8))
        else:
            link(target, os.path.join(STATIC, path))
    for path in old:
        if path not in system.etc:
            remove(os.path.join("/etc", path))
    hostname(system.activation["hostname"])
    link("/run/current-system", system.path)
    # What runs and what booted are kept when the store is cleaned.
    for name in ("current-system", "booted-system"):
        link(f"/nix/var/nix/gcroots/{name}", f"/run/{name}")


def units(system: System) -> None:
    """Makes the installed units those of the system."""
    for entry in installed_units():
        if entry not in system.units:
            remove(os.path.join(UNITS, entry))
    for entry, source in system.units.items():
        target = os.path.join(UNITS, entry)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        masked = os.path.realpath(source) == "/dev/null"
        link(target, "/dev/null" if masked else source)


def installed_units() -> list[str]:
    """Entries of the volatile units' folder that an activation put there."""
    if not os.path.isdir(UNITS):
        return []
    return [entry for entry in files_below(UNITS) if is_ours(os.path.join(UNITS, entry))]


def is_ours(path: str) -> bool:
    return os.path.islink(path) and os.readlink(path).startswith(("/nix/store/", "/dev/null"))


def temporary_files(system: System) -> None:
    rules = system.activation["tmpfiles"]
    if rules:
        run(["/usr/bin/systemd-tmpfiles", "--create", "-"], "\n".join(rules) + "\n")


def hostname(name: str) -> None:
    if os.uname().nodename != name:
        # A container's /proc/sys cannot be written to. The module takes long to be read, and a name hardly ever changes.
        import socket

        socket.sethostname(name)
    write("/etc/hostname", f"{name}\n", 0o644)


def former(static: str) -> list[str]:
    """The paths below /etc that the system before this one had, activated completely or not."""
    return sorted(files_below(static)) if os.path.isdir(static) else []


def link(path: str, target: str) -> None:
    """Makes a symbolic link, atomically, in place of whatever file was there."""
    if os.path.islink(path) and os.readlink(path) == target:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f"{path}.new"
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(target, new)
    os.replace(new, path)


def copy(source: str, target: str, mode: int) -> None:
    with open(source, encoding="utf-8") as file:
        write(target, file.read(), mode)


def write(path: str, text: str, mode: int) -> None:
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(new, mode)
    os.replace(new, path)


def remove(path: str) -> None:
    """Removes a file, and the folders that it leaves empty."""
    if os.path.lexists(path):
        os.unlink(path)
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass


def run(command: list[str], text: str = "") -> None:
    try:
        code, said = ask(command, text, with_errors=True)
    except OSError as error:
        raise ScriptFailed(f"{command[0]} cannot be run on this machine: {error.strerror}") from None
    if code != 0:
        raise ScriptFailed(f"{command[0]} failed: {said.strip()}")
