"""NixOS' words for types and defaults, read back into something that can be checked.

A type is a name ("bool") or a list of a name and its arguments (["listOf", "str"]); "anything" stands for words that
cannot be read.
"""

import json
import re

PLAIN = {
    "boolean": "bool",
    "string": "str",
    "signed integer": "int",
    "floating point number": "float",
    "path": "path",
    "absolute path": "path",
    "package": "package",
    "attribute set": ["attrsOf", "anything"],
    "positive integer, meaning >0": "positive",
    "unsigned integer, meaning >=0": "unsigned",
    "16 bit unsigned integer; between 0 and 65535 (both inclusive)": "port",
    "(optionally newline-terminated) single-line string": "line",
    "path in the Nix store": "path",
    "JSON value": "anything",
    "TOML value": "anything",
    "submodule": "submodule",
    "systemd option": "unitOption",
}
PREFIXES = [("list of ", "listOf"), ("lazy attribute set of ", "attrsOf"), ("attribute set of ", "attrsOf")]


def type_of(words: str):
    words = re.sub(r" \(with check: [^()]*\)$|, not containing newlines or colons$", "", _bare(words))
    if words in PLAIN:
        return PLAIN[words]
    if words.startswith("null or "):
        return ["nullOr", type_of(words.removeprefix("null or "))]
    if words.startswith("string matching the pattern "):
        return ["matching", words.removeprefix("string matching the pattern ")]
    if len(parts := _split(words)) > 1:
        return _either([type_of(part) for part in parts])
    return _simple(words)


def _simple(words: str):
    if between := re.fullmatch(r"integer between (-?\d+) and (-?\d+) \(both inclusive\)", words):
        return ["between", int(between[1]), int(between[2])]
    if words.startswith("one of "):
        values = [_value(value) for value in re.findall(r"“[^”]*”|-?\d+", words.removeprefix("one of "))]
        return ["enum", values]
    if single := re.fullmatch(r"value (“[^”]*”|-?\d+) \(singular enum\)", words):
        return ["enum", [_value(single[1])]]
    if words.startswith("strings concatenated with "):
        return "lines"
    for prefix, name in PREFIXES:
        if words.startswith(prefix):
            return [name, type_of(words.removeprefix(prefix))]
    if words.startswith("section of an INI file"):
        return ["attrsOf", "atom"]
    if re.match(r"(INI )?atom \(null, bool, int, float or string\)", words):
        return "atom"
    return "anything"


def _value(text: str):
    return text[1:-1] if text.startswith("“") else int(text)


def _either(kinds: list):
    if "anything" in kinds:
        return "anything"
    first, *rest = kinds
    return first if not rest else ["either", first, _either(rest)]


def _bare(words: str) -> str:
    """Without parentheses around the whole."""
    while words.startswith("(") and _closing(words) == len(words) - 1:
        words = words[1:-1]
    return words


def _closing(words: str) -> int:
    depth = 0
    for at, character in enumerate(words):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return at
    return -1


def _split(words: str) -> list[str]:
    """The alternatives: what stands between “or” outside of parentheses and quotes."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(words):
        depth += {"(": 1, "“": 1, ")": -1, "”": -1}.get(character, 0)
        if depth == 0 and words.startswith(" or ", at):
            parts.append(words[start:at])
            start = at + 4
    return [*parts, words[start:]]


def default_of(words: str) -> dict:
    """{"default": value} of a default that is a literal; {"computed": true} of one that is not, or of none: the words do
    not tell a value that must be given from one that upstream computes."""
    literals = {"[ ]": [], "{ }": {}}
    if words in literals:
        return {"default": literals[words]}
    if re.fullmatch(r'true|false|null|-?\d+|"[^"$\\]*"', words):
        return {"default": json.loads(words)}
    return {"computed": True}
