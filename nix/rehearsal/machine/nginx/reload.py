"""Makes nginx read its configuration again and waits until it has: reload.py MASTER_PID.

The signal alone returns at once, while requests are still answered as before.
"""

import os
import sys
import time

PATIENCE = 10
# Its module takes Python longer to be read than there is to do.
SIGHUP = 1


def workers(master: int) -> set[str]:
    with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as file:
        return set(file.read().split())


def main(master: int) -> None:
    before = workers(master)
    os.kill(master, SIGHUP)
    deadline = time.monotonic() + PATIENCE
    # nginx starts the new workers before it tells the old ones to take no more connections.
    while not workers(master) - before:
        if time.monotonic() > deadline:
            sys.exit("nginx did not take its new configuration")
        time.sleep(0.01)
    time.sleep(0.05)


main(int(sys.argv[1]))
