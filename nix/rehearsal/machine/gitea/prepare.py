"""What comes before Gitea's every start: prepare.py PROGRAM PREPARATION_JSON. Runs as Gitea's own account, as NixOS' `preStart` does.

It makes the secrets that are missing, writes app.ini with them, brings the database to the program's version, and writes anew
what names the program: the hooks of every repository, and the commands of SSH keys.
"""

import json
import os
import subprocess
import sys


def main(program: str, file: str) -> None:
    with open(file, encoding="utf-8") as stream:
        preparation = json.load(stream)
    folder = preparation["folder"]
    os.umask(0o027)
    text = preparation["app_ini"]
    for name, kind in preparation["secrets"].items():
        text = text.replace(f"#{name}#", secret(program, os.path.join(folder, name), kind))
    if preparation["mailer_password"] is not None:
        text = text.replace("#mailer_password#", read(preparation["mailer_password"]))
    write(os.path.join(folder, "app.ini"), text, 0o440)
    call(program, "migrate")
    call(program, "admin", "regenerate", "hooks")
    if os.access(preparation["authorized_keys"], os.R_OK):
        call(program, "admin", "regenerate", "keys")


def secret(program: str, path: str, kind: str) -> str:
    """A secret in a file of its own, made once."""
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        made = subprocess.run([program, "generate", "secret", kind], check=True, stdout=subprocess.PIPE, text=True)
        write(path, made.stdout, 0o640)
    return read(path)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def write(path: str, text: str, mode: int) -> None:
    new = f"{path}.new"
    # One that is left over may not be written to.
    if os.path.lexists(new):
        os.unlink(new)
    with open(new, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
    os.replace(new, path)


def call(program: str, *words: str) -> None:
    subprocess.run([program, *words], check=True)


main(*sys.argv[1:])
