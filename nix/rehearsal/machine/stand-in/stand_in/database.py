"""The connection to PostgreSQL: over its socket, as the account that runs this."""

import time
from contextlib import contextmanager

import psycopg2


@contextmanager
def transaction(name: str):
    """A cursor in a transaction of its own, committed at the end."""
    connection = psycopg2.connect(dbname=name, host="/run/postgresql", connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def wait(name: str, seconds: float) -> None:
    """Waits until the database answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with transaction(name) as cursor:
                cursor.execute("SELECT 1")
            return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
