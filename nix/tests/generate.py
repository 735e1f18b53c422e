"""Values that a JSON Schema of the catalogue allows, at random."""

import random
import re
from re import _constants as op
from re import _parser as parser

# What a text may hold that means something to Nix, to a shell, to INI, YAML, JSON, nginx or systemd, and what takes several
# bytes.
POOL = [*"aZ09 -_.:/,;#%&|$`\"'\\{}[]()<>=!?*+~^@", "${x}", "''", "\t", "é", "🦊", "\u2028", "{{x}}", "%n", "\\n"]


def value(schema: dict, chance: random.Random):
    """A value of the schema, as tenant.nix has it: a secret is the number of how often it was given."""
    if schema.get("writeOnly"):
        return chance.choice([None, 1, 7])
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = chance.choice(kinds)
    return KINDS[kind](schema, chance)


def _object(schema: dict, chance: random.Random) -> dict:
    required = schema.get("required", [])
    return {
        name: value(property_, chance)
        for name, property_ in schema["properties"].items()
        if name in required or chance.random() < 0.6
    }


def _integer(schema: dict, chance: random.Random) -> int:
    least, most = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
    return chance.choice([least, most, chance.randint(least, most)])


def _string(schema: dict, chance: random.Random) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 60)
    pattern = schema.get("pattern")
    for _ in range(200):
        text = matching(pattern, chance, most) if pattern else "".join(chance.choices(POOL, k=chance.randint(least, min(most, 40))))
        if least <= len(text) <= most and (pattern is None or re.search(pattern, text)):
            return text
    raise AssertionError(f"no text for {schema}")


def _array(schema: dict, chance: random.Random) -> list:
    return [value(schema["items"], chance) for _ in range(chance.choice([0, 1, 2, 5]))]


KINDS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "boolean": lambda _, chance: chance.random() < 0.5,
    "null": lambda _schema, _chance: None,
}


def matching(pattern: str, chance: random.Random, most: int) -> str:
    """A text that a regular expression matches as a whole."""
    return "".join(_pieces(parser.parse(pattern), chance, most))


def _pieces(tree, chance: random.Random, most: int):
    for code, argument in tree:
        if code is op.LITERAL:
            yield chr(argument)
        elif code is op.IN:
            yield _member(argument, chance)
        elif code is op.NOT_LITERAL:
            yield chance.choice([text for text in POOL if chr(argument) not in text])
        elif code is op.MAX_REPEAT:
            least, many, inner = argument
            many = min(int(many), max(least, most))
            for _ in range(chance.choice([least, many, chance.randint(least, min(many, least + 8))])):
                yield from _pieces(inner, chance, most)
        elif code is op.SUBPATTERN:
            yield from _pieces(argument[-1], chance, most)
        elif code is op.BRANCH:
            yield from _pieces(chance.choice(argument[1]), chance, most)
        elif code is not op.AT:
            raise AssertionError(f"{code} is not known")


def _member(members, chance: random.Random) -> str:
    if members[0][0] is op.NEGATE:
        forbidden = {character for member in members[1:] for character in _range(member)}
        return chance.choice([text for text in POOL if not forbidden & set(text)])
    return chance.choice(list(_range(chance.choice(members))))


def _range(member):
    code, argument = member
    return [chr(argument)] if code is op.LITERAL else map(chr, range(argument[0], argument[1] + 1))
