"""What is asked of systemd."""

import subprocess

SYSTEMCTL = "/usr/bin/systemctl"


def call(*arguments: str) -> bool:
    """Runs systemctl; its own messages go where ours go. Whether it succeeded."""
    return subprocess.run([SYSTEMCTL, *arguments], check=False).returncode == 0


def reload_manager() -> None:
    call("daemon-reload")


def states(units: list[str]) -> dict[str, dict[str, str]]:
    """LoadState, ActiveState, SubState and Result of each unit, by its name."""
    if not units:
        return {}
    properties = "--property=Id,LoadState,ActiveState,SubState,Result"
    shown = subprocess.run(
        [SYSTEMCTL, "show", properties, "--", *units], check=True, capture_output=True, text=True
    )
    blocks = shown.stdout.split("\n\n")
    return {unit: parse(block) for unit, block in zip(units, blocks, strict=True)}


def parse(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.strip().splitlines())


def is_up(state: dict[str, str]) -> bool:
    return state["ActiveState"] in ("active", "activating", "reloading", "refreshing") and not has_failed(state)


def has_failed(state: dict[str, str]) -> bool:
    """A unit that waits for its next automatic restart has failed, too."""
    return state["ActiveState"] == "failed" or state["SubState"].startswith("auto-restart")
