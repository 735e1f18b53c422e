"""Gitea from its Go module, as a folder that the rehearsal platform takes (nix/rehearsal/nixos/real/gitea.nix).

The module lacks what npm would build of the pages' scripts and styles; the pages themselves, the API and Git need none of it.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import command

MODULE = "code.gitea.io/gitea"

# It takes eight minutes of one core.
LIMIT = 30 * 60

# Where Go is when it is not in PATH: its own instructions for installing it (https://go.dev/doc/install).
USUAL = "/usr/local/go/bin/go"

# Names that Git has on PATH, by which the two sides of a push or a fetch start one another.
ROLES = ("receive-pack", "upload-pack", "upload-archive")

# What Gitea reads besides itself.
DATA = ("templates", "options", "public")


@dataclass(frozen=True)
class Gitea:
    """A version of it. It says in its go.mod which Go it needs, and Go says what is wrong with that."""

    version: str
    name: str = "gitea"

    def path(self, context) -> Path:
        """The folder."""
        return context.cache / f"gitea-{self.version}"

    def build(self, context) -> str | None:
        go = shutil.which("go") or shutil.which(USUAL)
        git = shutil.which("git")
        if go is None or git is None:
            return f"there is no {'Go' if go is None else 'git'}"
        folder, work = self.path(context), context.cache / f"gitea-{self.version}.new"
        shutil.rmtree(work, ignore_errors=True)
        try:
            return self._build(context, go, git, work) or _put(work / "made", folder)
        finally:
            # Two gigabytes of modules and objects.
            shutil.rmtree(work, ignore_errors=True)

    def _build(self, context, go: str, git: str, work: Path) -> str | None:
        made = work / "made"
        (made / "bin").mkdir(parents=True)
        environment = {
            **context.environment,
            # A program for machines with another libc than this host's.
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-modcacherw -buildvcs=false",
            "GOMODCACHE": str(work / "modules"),
            "GOCACHE": str(work / "objects"),
        }
        source = _download(go, f"{MODULE}@v{self.version}", environment, work)
        if isinstance(source, str):
            return source
        linking = f"-s -w -X main.Version={self.version}"
        argv = ["nice", go, "build", "-C", str(source), "-v", "-trimpath", "-ldflags", linking, "-o", str(made / "bin/gitea"), "."]
        failure = command.check(argv, environment, LIMIT, command.Quiet(_is_of_a_package, "packages"))
        if failure is not None:
            return failure
        # The machines have none, and what it links with they have.
        shutil.copy(git, made / "bin/git")
        for role in ROLES:
            (made / "bin" / f"git-{role}").symlink_to("git")
        for folder in DATA:
            shutil.copytree(source / folder, made / "share" / folder)
        (made / "version").write_text(f"{self.version}\n", encoding="utf-8")
        return None


def _is_of_a_package(line: str) -> bool:
    """With `-v`, Go says the path of every package that it compiles."""
    return line.startswith("go: downloading ") or " " not in line


def _download(go: str, module: str, environment: dict, work: Path) -> Path | str:
    """A module's folder; its sum is checked against the database of sums. Otherwise a word about the failure."""
    argv = [go, "mod", "download", "-json", module]
    print(f"$ {' '.join(argv)}", flush=True)
    try:
        done = subprocess.run(argv, cwd=work, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
        said = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as failure:
        return f"go mod download: {failure}"
    return Path(said["Dir"]) if "Dir" in said else said.get("Error", done.stderr.strip())


def _put(made: Path, folder: Path) -> None:
    """In one step, so that what is there is whole."""
    made.rename(folder)
