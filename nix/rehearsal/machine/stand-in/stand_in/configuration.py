"""What a stand-in is told to be: the JSON file that nix/rehearsal/nixos/stand-ins writes."""

import json
from dataclasses import dataclass, field


@dataclass
class Configuration:
    # The site's name, and the software that is stood in for.
    title: str
    software: str
    # The state directory.
    state: str
    # What the service was configured with, shown on the front page.
    settings: dict
    # The PostgreSQL database, whose owner is the account that the stand-in runs as; none where the service has none.
    database: str | None = None
    # {"address", "port"} or {"socket"}; workers have none.
    listen: dict = field(default_factory=dict)
    # Fixed answers, by path: {"content_type", "body"}. They are given only while the database answers.
    answers: dict = field(default_factory=dict)
    # The domain for which WebFinger knows the account `stand-in`.
    webfinger: str | None = None
    # The socket of the Redis that must answer, too.
    redis: str | None = None
    # The file with a secret without which the service does not start.
    secret: str | None = None

    @classmethod
    def read(cls, path: str) -> "Configuration":
        with open(path, encoding="utf-8") as file:
            return cls(**json.load(file))
