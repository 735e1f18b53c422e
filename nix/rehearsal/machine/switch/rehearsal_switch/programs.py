"""Other programs. Python's own `subprocess` takes longer to be read than most of them take to run."""

import os

# Python ignores it, and no program it runs should. `signal` takes long to be read.
SIGPIPE = 13


def call(command: list[str]) -> int:
    """Runs a program that writes where we write; its exit code."""
    return finish(command, [])


def ask(command: list[str], text: str = "", with_errors: bool = False) -> tuple[int, str]:
    """Runs a program that reads this text: its exit code and what it wrote, with its errors where these are wanted."""
    given, written = os.memfd_create("given"), os.memfd_create("written")
    try:
        os.pwrite(given, text.encode(), 0)
        outputs = [1, 2] if with_errors else [1]
        redirect = [(os.POSIX_SPAWN_DUP2, given, 0), *((os.POSIX_SPAWN_DUP2, written, number) for number in outputs)]
        code = finish(command, redirect)
        return code, os.pread(written, os.fstat(written).st_size, 0).decode(errors="replace")
    finally:
        os.close(given)
        os.close(written)


def finish(command: list[str], redirect: list[tuple]) -> int:
    process = os.posix_spawn(command[0], command, os.environ, file_actions=redirect, setsigdef=[SIGPIPE])
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
