"""Makes an empty PostgreSQL cluster where there is none: initialise.py PROGRAMS DATA_DIRECTORY."""

import os
import subprocess
import sys


def main(programs: str, data: str) -> None:
    if os.path.exists(os.path.join(data, "PG_VERSION")):
        return
    options = ["--username=postgres", "--auth-local=peer", "--auth-host=scram-sha-256"]
    # Without --no-sync a new cluster waits for the disk for seconds; the server writes through soon enough.
    options += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run([os.path.join(programs, "initdb"), *options, "--pgdata", data], check=True)


main(*sys.argv[1:])
