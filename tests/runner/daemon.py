"""A daemon in a folder of its own, on a free port."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

READY = 60
STOP = 20


@contextmanager
def daemon(program: Path, scratch: Path, environment: dict[str, str]):
    """Gives its URL and its administrator's token."""
    data, log = scratch / "data", scratch / "daemon.log"
    environment = environment | {"BERTH_DATA_DIR": str(data), "BERTH_LISTEN": "127.0.0.1:0"}
    with open(log, "wb") as output:
        argv = [str(program), "daemon", "serve"]
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        yield _await_url(process, data / "listen", log), (data / "admin.token").read_text().strip()
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_url(process: subprocess.Popen, listen: Path, log: Path) -> str:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        if listen.exists() and (url := listen.read_text().strip()):
            return url
        time.sleep(0.02)
    raise RuntimeError(f"the daemon does not start: {log.read_text(errors='replace')[-2000:]}")
