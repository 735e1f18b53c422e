"""Asks this machine for a page under a name every 50 ms, and writes a line for each answer: its status, or what went wrong."""

import http.client
import sys
import time

EVERY = 0.05
PATIENCE = 5

host, path, file = sys.argv[1:]
start = time.monotonic()
with open(file, "w", buffering=1, encoding="utf-8") as lines:
    while True:
        asked = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            answer.read()
            said = str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        print(said if said == "200" else f"{said} after {asked - start:.2f} s", file=lines)
        time.sleep(max(0, asked + EVERY - time.monotonic()))
