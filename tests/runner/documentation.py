"""The documentation: its pages and links, and the commands that it shows.

A block of shell commands that stands right after the line `<!-- tested -->` is run: all blocks of a page in their order,
by one bash that ends at the first failure, in the repository's root, with a daemon of the page's own at BERTH_URL whose
administrator's token is BERTH_TOKEN, and with the built programs in PATH.
"""

import re
import tempfile
from pathlib import Path

import command
import links
from context import ROOT, nix_environment
from daemon import daemon
from outcome import Outcome

TESTED = re.compile(r"^<!-- tested -->\n+```[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)

LIMIT = 5 * 60


def run(context) -> Outcome:
    outcome = Outcome()
    links.check(outcome)
    for failure in outcome.failed:
        print(failure)
    for page in links.pages():
        blocks = TESTED.findall(page.read_text(encoding="utf-8"))
        if blocks:
            outcome.take(f"commands of {page.relative_to(ROOT)}", _commands(context, page, blocks))
    return outcome


def _commands(context, page: Path, blocks: list[str]) -> str | None:
    programs = context.target / "debug"
    if not (programs / "berth").exists():
        build = ["cargo", "build", "--workspace", "--bins", "--locked"]
        if failure := command.check(build, context.environment, LIMIT * 6):
            return f"cargo build: {failure}"
    with tempfile.TemporaryDirectory(prefix="berth-documentation-") as scratch:
        script = Path(scratch) / f"{page.stem}.sh"
        script.write_text("set -euo pipefail\nset -x\n" + "\n".join(blocks), encoding="utf-8")
        environment = {**context.environment, **nix_environment()}
        with daemon(programs / "berth", Path(scratch), environment) as (url, token):
            environment |= {"BERTH_URL": url, "BERTH_TOKEN": token, "PATH": f"{programs}:{environment.get('PATH', '')}"}
            return command.check(["bash", str(script)], environment, LIMIT)
