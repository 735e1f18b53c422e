"""Makes the databases and users that are wanted and missing: ensure.py WANTED_JSON. Runs as postgres."""

import json
import sys

import psycopg2
from psycopg2 import sql


def main(file: str) -> None:
    with open(file, encoding="utf-8") as stream:
        wanted = json.load(stream)
    connection = psycopg2.connect(dbname="postgres", host="/run/postgresql")
    connection.autocommit = True
    with connection.cursor() as cursor:
        ensure(cursor, wanted)
    connection.close()


def ensure(cursor, wanted: dict) -> None:
    for name in wanted["databases"]:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    for user in wanted["users"]:
        name = user["name"]
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        if user["ensureDBOwnership"]:
            cursor.execute(sql.SQL("ALTER DATABASE {0} OWNER TO {0}").format(sql.Identifier(name)))


main(*sys.argv[1:])
