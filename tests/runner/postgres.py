"""A PostgreSQL of the tests' own: on a free port, in a temporary folder, gone afterwards."""

import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

# What only matters to data that shall survive a power cut.
SPEED = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]

START = 30


class Unavailable(Exception):
    """Why there is none."""


@contextmanager
def running():
    """Gives the URL of an empty database whose owner is a superuser."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="berth-postgres-") as scratch:
        folder, password, port = Path(scratch), secrets.token_hex(16), _free_port()
        _initialise(programs, folder, password)
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(_serve(programs, folder, port), stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(server, port, folder / "log")
            print(f"PostgreSQL listens on port {port}, in {folder}", flush=True)
            yield f"postgres://postgres:{password}@127.0.0.1:{port}/postgres"
        finally:
            _stop(server)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        raise Unavailable("there is no PostgreSQL here (package postgresql)")
    return found[-1].parent


def _as_owner(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to be root. Ends with us, however we end."""
    become = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        become += ["--reuid=postgres", "--regid=postgres", "--init-groups"]
    return [*become, "--", *argv]


def _initialise(programs: Path, folder: Path, password: str) -> None:
    word = folder / "password"
    word.touch(mode=0o600)
    word.write_text(password)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in (folder, word):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    options = ["--username=postgres", f"--pwfile={word}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
    argv = [str(programs / "initdb"), f"--pgdata={folder / 'data'}", "--no-sync", "--no-instructions", *options]
    done = subprocess.run(_as_owner(argv), cwd="/", capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Unavailable(f"initdb failed: {done.stderr.strip()}")


def _serve(programs: Path, folder: Path, port: int) -> list[str]:
    settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", *SPEED]
    options = [word for setting in settings for word in ("-c", setting)]
    return _as_owner([str(programs / "postgres"), "-D", str(folder / "data"), *options])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: subprocess.Popen, port: int, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        if "ready to accept connections" in log.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise Unavailable(f"PostgreSQL does not start: {log.read_text(errors='replace')[-2000:]}")


def _stop(server: subprocess.Popen) -> None:
    # Interrupt is PostgreSQL's “fast shutdown”: connections are closed, not waited for.
    for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is None:
            server.send_signal(sent)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                continue

