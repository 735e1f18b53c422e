"""Pages of the documentation: each is in the table of contents, and every link leads somewhere."""

import re
from pathlib import Path

from context import ROOT
from outcome import Outcome

BOOK = ROOT / "docs" / "src"
README = ROOT / "README.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return [page for page in [README, *sorted(BOOK.rglob("*.md"))] if page.exists()]


def check(outcome: Outcome) -> None:
    contents = set(_links(BOOK / "SUMMARY.md"))
    for page in pages():
        name = str(page.relative_to(ROOT))
        if page not in (README, BOOK / "SUMMARY.md"):
            listed = str(page.relative_to(BOOK)) in contents
            outcome.take(name, None if listed else "is not in docs/src/SUMMARY.md")
        broken = [link for link in _links(page) if not _leads_somewhere(page, link)]
        outcome.take(name, f"broken links: {', '.join(broken)}" if broken else None)


def _links(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """The names that headings can be linked by, as mdBook and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
