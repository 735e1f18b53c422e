"""Where notes are numbered: a PostgreSQL database, over its socket and as the account that runs this, or a file of SQLite
for services that have no database."""

import os
import sqlite3
import time
from contextlib import closing, contextmanager

import psycopg2

# What either says when it cannot answer.
Error = (psycopg2.Error, sqlite3.Error)
LOCK = 8484


class Postgres:
    # Several processes may start at once; CREATE TABLE IF NOT EXISTS alone would collide.
    prepare = (f"SELECT pg_advisory_xact_lock({LOCK})",)
    lock = "LOCK TABLE stand_in_notes IN EXCLUSIVE MODE"
    insert = "INSERT INTO stand_in_notes VALUES (%(seq)s, %(text)s, %(hash)s)"

    def __init__(self, name: str):
        self.name = name

    @contextmanager
    def transaction(self):
        """A cursor in a transaction of its own, committed at the end."""
        connection = psycopg2.connect(dbname=self.name, host="/run/postgresql", connect_timeout=5)
        with closing(connection), connection, connection.cursor() as cursor:
            yield cursor


class Sqlite:
    prepare = ()
    lock = "SELECT 1"
    insert = "INSERT INTO stand_in_notes VALUES (:seq, :text, :hash)"

    def __init__(self, path: str):
        self.path = path

    @contextmanager
    def transaction(self):
        """A cursor in a transaction of its own, which has the file for itself, committed at the end."""
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        with closing(connection):
            connection.execute("BEGIN IMMEDIATE")
            yield connection.cursor()
            connection.execute("COMMIT")


def of(name: str | None, state: str) -> Postgres | Sqlite:
    """The database of that name, or a file below the state directory."""
    return Postgres(name) if name else Sqlite(os.path.join(state, "stand-in.sqlite"))


def ping(database: Postgres | Sqlite) -> None:
    with database.transaction() as cursor:
        cursor.execute("SELECT 1")


def wait(database: Postgres | Sqlite, seconds: float) -> None:
    """Waits until the database answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ping(database)
        except (psycopg2.OperationalError, sqlite3.OperationalError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
