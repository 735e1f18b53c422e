"""Requests and answers."""

import hashlib
import json
import os
import socket
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from . import database, pages, redis
from .configuration import Configuration
from .notes import Notes

LONGEST_NOTE = 1024 * 1024
JSON = "application/json"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    configuration: Configuration
    notes: Notes

    def do_GET(self) -> None:
        self.guarded(self.get)

    def do_HEAD(self) -> None:
        self.guarded(self.get)

    def do_POST(self) -> None:
        self.guarded(self.post)

    def guarded(self, handle) -> None:
        """A database that does not answer is 503: the service is not healthy then."""
        try:
            handle(urlsplit(self.path))
        except database.Error as error:
            self.json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "fail", "problem": str(error).strip()})

    def get(self, url) -> None:
        if url.path in self.configuration.answers:
            self.fixed(self.configuration.answers[url.path])
        elif url.path == "/":
            page = pages.front(self.configuration, self.notes.all())
            self.answer(HTTPStatus.OK, "text/html; charset=utf-8", page)
        elif url.path == "/stand-in/notes":
            self.json(HTTPStatus.OK, {**self.about(), **self.notes.all()})
        elif url.path == "/.well-known/webfinger" and self.configuration.webfinger:
            self.webfinger(parse_qs(url.query).get("resource", [""])[0])
        else:
            self.not_found()

    def post(self, url) -> None:
        # The body is read whatever becomes of the request, so that the next one on the connection is understood.
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= LONGEST_NOTE:
            self.close_connection = True
            self.json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"problem": f"a note has at most {LONGEST_NOTE} bytes"})
            return
        body = self.rfile.read(length)
        if url.path != "/stand-in/notes":
            self.not_found()
            return
        try:
            text = json.loads(body)["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str) or "\0" in text:
            self.json(HTTPStatus.BAD_REQUEST, {"problem": 'the body must be {"text": "…"} without NUL'})
            return
        self.json(HTTPStatus.CREATED, self.notes.add(text))

    def fixed(self, answer: dict) -> None:
        database.ping(self.notes.database)
        if self.configuration.redis and not redis.answers(self.configuration.redis):
            self.json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "fail", "problem": "Redis does not answer"})
            return
        self.answer(HTTPStatus.OK, answer["content_type"], answer["body"])

    def webfinger(self, resource: str) -> None:
        host = self.configuration.webfinger
        # An account, and the server's own actor.
        actors = {f"acct:stand-in@{host}": "users/stand-in", f"acct:{host}@{host}": "actor"}
        if resource not in actors:
            self.not_found()
            return
        link = {"rel": "self", "type": "application/activity+json", "href": f"https://{host}/{actors[resource]}"}
        found = json.dumps({"subject": resource, "links": [link]})
        self.answer(HTTPStatus.OK, "application/jrd+json", found)

    def about(self) -> dict:
        about = {"stand_in": True, "software": self.configuration.software}
        if self.configuration.secret:
            with open(self.configuration.secret, "rb") as file:
                # Tells whether the secret is still the same without telling it.
                about["secret_fingerprint"] = hashlib.sha256(file.read()).hexdigest()[:16]
        return about

    def not_found(self) -> None:
        self.json(HTTPStatus.NOT_FOUND, {"problem": "the stand-in has nothing here"})

    def json(self, status: HTTPStatus, value: dict) -> None:
        self.answer(status, JSON, json.dumps(value, ensure_ascii=False) + "\n")

    def answer(self, status: HTTPStatus, content_type: str, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Stand-In", "true")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_arguments) -> None:
        """Requests are in nginx' log."""

    def address_string(self) -> str:
        return str(self.client_address)


class SocketServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        path = self.server_address
        if os.path.exists(path):
            os.unlink(path)
        socketserver.TCPServer.server_bind(self)
        os.chmod(path, 0o660)
        self.server_name, self.server_port = "stand-in", 0


def serve(configuration: Configuration) -> None:
    if configuration.secret:
        # As the real one, it does not start without.
        with open(configuration.secret, "rb"):
            pass
    numbered_by = database.of(configuration.database, configuration.state)
    notes = Notes(numbered_by, configuration.state)
    database.wait(numbered_by, seconds=60)
    notes.prepare()
    handler = type("StandIn", (Handler,), {"configuration": configuration, "notes": notes})
    listen = configuration.listen
    if "socket" in listen:
        server = SocketServer(listen["socket"], handler)
    else:
        server = ThreadingHTTPServer((listen["address"], listen["port"]), handler)
    server.daemon_threads = True
    tell_systemd("READY=1")
    server.serve_forever()


def tell_systemd(state: str) -> None:
    """sd_notify(3): requests are taken from here on."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
