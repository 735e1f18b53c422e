"""The front page."""

import json
from html import escape

from .configuration import Configuration


def front(configuration: Configuration, notes: dict) -> str:
    rows = "".join(row(name, value) for name, value in sorted(configuration.settings.items()))
    state = "intact" if notes["intact"] else "BROKEN"
    title, software = escape(configuration.title), escape(configuration.software)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1.5rem }}
  td, th {{ text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }}
  .stand-in {{ border: 2px solid #b60; padding: .5rem 1rem }}
</style>
<h1>{title}</h1>
<p class="stand-in">This is a <strong>stand-in for {software}</strong> on Berth's rehearsal platform, not {software} itself.</p>
<h2>Settings</h2>
<table>{rows}</table>
<h2>Notes</h2>
<p>{notes["count"]} stored in the database and in files; the chain is {state}.</p>
</html>
"""


def row(name: str, value) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"<tr><th>{escape(name)}</th><td>{escape(shown)}</td></tr>"
