"""A PostgreSQL of the tests' own: on a free port, in a temporary folder, gone afterwards."""

import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

# What only matters to data that shall survive a power cut.
SPEED = ["fsync=off", "full_page_writes=off"]

# With this, the last commits before a crash of the server itself are lost.
FORGETFUL = ["synchronous_commit=off"]

START = 30


class Unavailable(Exception):
    """Why there is none."""


@contextmanager
def running():
    """Gives the URL of an empty database whose owner is a superuser."""
    with _server([*SPEED, *FORGETFUL]) as server:
        print(f"PostgreSQL listens on port {server.port}, in {server.folder}", flush=True)
        yield server.url


class _Server:
    """A server in a folder; it does not run yet."""

    def __init__(self, folder: Path, settings: list[str]):
        self.folder, self.port, self._programs = folder, _free_port(), _programs()
        self._settings, self._process = settings, None
        password = secrets.token_hex(16)
        self.url = f"postgres://postgres:{password}@127.0.0.1:{self.port}/postgres"
        _initialise(self._programs, folder, password)

    def start(self):
        with open(self.folder / "log", "wb") as log:
            argv = _serve(self._programs, self.folder, self.port, self._settings)
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        _wait(self._process, self.folder / "log")

    def stop(self):
        if self._process is None:
            return
        # Interrupt is PostgreSQL's “fast shutdown”: connections are closed, not waited for.
        _end(self._process, [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])

    def crash(self):
        # Quit is its “immediate shutdown”: nothing is written any more, and the next start recovers as after a crash.
        _end(self._process, [signal.SIGQUIT])
        if self._process.poll() is None:
            raise Unavailable("PostgreSQL does not end")


@contextmanager
def _server(settings: list[str]):
    with tempfile.TemporaryDirectory(prefix="berth-postgres-") as scratch:
        server = _Server(Path(scratch), settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


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


def _serve(programs: Path, folder: Path, port: int, more: list[str]) -> list[str]:
    settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", *more]
    options = [word for setting in settings for word in ("-c", setting)]
    return _as_owner([str(programs / "postgres"), "-D", str(folder / "data"), *options])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        if "ready to accept connections" in log.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise Unavailable(f"PostgreSQL does not start: {log.read_text(errors='replace')[-2000:]}")


def _end(server: subprocess.Popen, signals: list[int]) -> None:
    for sent in signals:
        if server.poll() is None:
            server.send_signal(sent)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                continue


def _obey() -> None:
    """For a test that has a server of its own: prints the URL, then obeys a word a line until there are no more."""
    with _server(SPEED) as server:
        print(server.url, flush=True)
        for order in sys.stdin:
            {"crash": server.crash, "start": server.start}[order.strip()]()
            print("done", flush=True)


if __name__ == "__main__":
    try:
        _obey()
    except Unavailable as why:
        print(f"unavailable: {why}", flush=True)
