"""Notes, chained: the hash of each covers the hash before it, its number and its text.

A note is a row in the database and a file in the state directory. The file is written first; the row's commit is
what makes the note exist, so a file without a row is one that was never acknowledged, and is written over.
"""

import hashlib
import os

from . import database

START = "0" * 64


class Notes:
    def __init__(self, numbered_by: database.Postgres | database.Sqlite, state: str):
        self.database = numbered_by
        self.folder = os.path.join(state, "stand-in-notes")

    def prepare(self) -> None:
        os.makedirs(self.folder, mode=0o750, exist_ok=True)
        with self.database.transaction() as cursor:
            for statement in self.database.prepare:
                cursor.execute(statement)
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS stand_in_notes (seq bigint PRIMARY KEY, text text NOT NULL, hash text NOT NULL)"
            )

    def add(self, text: str) -> dict:
        with self.database.transaction() as cursor:
            cursor.execute(self.database.lock)
            cursor.execute("SELECT seq, hash FROM stand_in_notes ORDER BY seq DESC LIMIT 1")
            last, before = cursor.fetchone() or (0, START)
            note = {"seq": last + 1, "text": text, "hash": link(before, last + 1, text)}
            self.write(note)
            cursor.execute(self.database.insert, note)
        return note

    def all(self) -> dict:
        """Every note, and what is wrong with the chain, if anything is."""
        with self.database.transaction() as cursor:
            cursor.execute("SELECT seq, text, hash FROM stand_in_notes ORDER BY seq")
            notes = [dict(zip(("seq", "text", "hash"), row)) for row in cursor.fetchall()]
        problems = self.problems(notes)
        head = notes[-1]["hash"] if notes else START
        return {"count": len(notes), "head": head, "intact": not problems, "problems": problems, "notes": notes}

    def problems(self, notes: list[dict]) -> list[str]:
        found, before = [], START
        for place, note in enumerate(notes, 1):
            if note["seq"] != place:
                found.append(f"note {place} is missing in the database")
                break
            if note["hash"] != link(before, place, note["text"]):
                found.append(f"note {place} does not follow from the one before it")
            if self.read(place) != note["text"]:
                found.append(f"the file of note {place} is missing or differs")
            before = note["hash"]
        # One file more is a note that was never acknowledged.
        beyond = [n for n in self.files() if n > len(notes) + 1]
        return found + [f"there is a file of note {n}, but no such note" for n in beyond]

    def path(self, seq: int) -> str:
        return os.path.join(self.folder, f"{seq:09}.txt")

    def files(self) -> list[int]:
        names = os.listdir(self.folder) if os.path.isdir(self.folder) else []
        return sorted(int(name[:-4]) for name in names if name.endswith(".txt"))

    def read(self, seq: int) -> str | None:
        try:
            with open(self.path(seq), encoding="utf-8", newline="") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, note: dict) -> None:
        path = self.path(note["seq"])
        with open(f"{path}.new", "w", encoding="utf-8", newline="") as file:
            file.write(note["text"])
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)


def link(before: str, seq: int, text: str) -> str:
    return hashlib.sha256(f"{before}\n{seq}\n{text}".encode()).hexdigest()
