"""The background worker: it does no work, and ends when what it would need is gone."""

import sys
import time

from . import database, redis
from .configuration import Configuration

INTERVAL = 5


def work(configuration: Configuration) -> None:
    asked = database.of(configuration.database, configuration.state)
    while True:
        database.wait(asked, seconds=60)
        if configuration.redis and not redis.answers(configuration.redis):
            sys.exit(f"Redis does not answer at {configuration.redis}")
        time.sleep(INTERVAL)
