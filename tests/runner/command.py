"""Runs other programs: their output is passed on line by line, they have a time limit, and they end with us."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from context import ROOT

# Seconds between two lines that count what is not worth a line each.
HEARTBEAT = 15

# What cargo says of every crate.
CRATE = ("Compiling ", "Checking ", "Downloaded ", "Downloading ", "Documenting ", "Fresh ", "Adding ", "Locking ")


class Failed(Exception):
    """A program that failed or took too long."""


def stream(argv: list[str], environment: dict, limit: float, on_line: Callable[[str], None] | None = None) -> int:
    """Runs a program in the repository's root and returns its exit status; negative for a signal, as in subprocess."""
    print(f"$ {' '.join(argv)}", flush=True)
    on_line = on_line or Quiet()
    with subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(limit, end)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout:
                on_line(line.rstrip("\n"))
            status = process.wait()
        except BaseException:
            _kill(process)
            raise
        finally:
            timer.cancel()
    if late.is_set():
        raise Failed(f"took longer than {limit / 60:.0f} minutes")
    return status


def check(
    argv: list[str], environment: dict, limit: float, on_line: Callable[[str], None] | None = None
) -> str | None:
    """Runs a program that says itself what is wrong; the result is None or a word about its failure."""
    try:
        status = stream(argv, environment, limit, on_line)
    except Failed as reason:
        return str(reason)
    except FileNotFoundError:
        return f"there is no program {argv[0]}"
    return None if status == 0 else f"exit status {status}"


class Quiet:
    """Passes lines on, but only counts those that say what is being compiled, which is cargo's crates if nobody says otherwise."""

    def __init__(self, counts: Callable[[str], bool] | None = None, what: str = "crates") -> None:
        self.counts = counts or (lambda line: line.lstrip().startswith(CRATE))
        self.what = what
        self.counted = 0
        self.told = time.monotonic()

    def __call__(self, line: str) -> None:
        if self.counts(line):
            self.counted += 1
            if time.monotonic() - self.told > HEARTBEAT:
                self.told = time.monotonic()
                print(f"  … {self.counted} {self.what}", flush=True)
        else:
            print(line, flush=True)


def _kill(process: subprocess.Popen) -> None:
    """Ends the whole process group: first asked, then not asked."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
