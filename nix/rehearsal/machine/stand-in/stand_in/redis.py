"""As much of Redis' protocol (RESP2) as is needed: one command over a socket, answered by one line."""

import socket


def answers(path: str) -> bool:
    """Whether the server behind a socket answers PING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
