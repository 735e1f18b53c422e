"""Ends a program of tests in which one of them stands still, so that all others still run.

libtest waits for ever for a test that never ends. The longest of ours takes some minutes on a slow host.
"""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

# Seconds, beyond the minute after which libtest says that a test is slow.
LIMIT = 14 * 60

# Seconds between two looks.
LOOK = 15


class Watch:
    """Looks at what a reader has heard of, as long as the context lasts."""

    def __init__(self, reader, limit: float = LIMIT) -> None:
        self.reader = reader
        self.limit = limit
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(LOOK):
            if path := self.reader.give_up(self.limit):
                _kill(path)


def _kill(path: Path) -> None:
    """Kills every process of a program, and what these have started, which could keep what they write to from ending."""
    parents, wanted = {}, set()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                # The parent is the second word behind the name, which may hold anything (proc_pid_stat(5)).
                parents[process.name] = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if (process / "exe").readlink() == path:
                    wanted.add(process.name)
    while children := {name for name, parent in parents.items() if parent in wanted} - wanted:
        wanted |= children
    for name in wanted:
        with suppress(OSError):
            os.kill(int(name), signal.SIGKILL)
