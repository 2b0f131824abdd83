#!/usr/bin/env python3
"""A proxy for a registry that behaves like a bad connection or a strict mirror, and counts.

registry.py TO LOG PORT [HABIT=N...]

Forwards requests on 127.0.0.1:PORT to the registry at TO (host:port, without TLS) and appends a line of JSON to LOG for
each: method, path, status and the bytes of the body sent. Habits:

  cut=BYTES      each connection ends after this many bytes of bodies
  stall=BYTES    a blob stops after this many bytes, and its connection stays open
  rate=BYTES     bytes a second on each connection
  hold=MS        a response is delayed by this many milliseconds per MiB
  limit=N        requests a minute, and connections=N at a time; more get 429 and Retry-After
"""

import collections
import http.client
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MIB = 1024 * 1024
PIECE = 64 * 1024
PASSED_ON = ("Accept", "Range", "If-Range", "Authorization")
PASSED_BACK = ("Content-Type", "Content-Range", "Accept-Ranges", "Docker-Content-Digest", "ETag", "Location",
               "Docker-Distribution-Api-Version", "WWW-Authenticate")


class Cut(Exception):
    """End the connection."""


class Front:
    def __init__(self, to, log, habits):
        self.to, self.log, self.habits = to, log, habits
        self.lock = threading.Lock()
        self.recent = collections.deque()
        self.open = 0

    def note(self, **line):
        with self.lock, open(self.log, "a") as log:
            print(json.dumps(line), file=log)

    def wait_for_turn(self):
        """Seconds that a request has to wait; 0 if it is served."""
        limit = self.habits.get("limit")
        with self.lock:
            now = time.monotonic()
            while self.recent and now - self.recent[0] > 60:
                self.recent.popleft()
            if self.open > self.habits.get("connections", 1000):
                return 1
            if limit and len(self.recent) >= limit:
                return int(60 - (now - self.recent[0])) + 1
            self.recent.append(now)
            return 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front = None
    # Nagle's algorithm would delay the body after the head.
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.sent = 0
        with self.front.lock:
            self.front.open += 1

    def handle(self):
        # Engines try TLS first, and fall back only on an immediate answer in plain text.
        if self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        super().handle()

    def finish(self):
        with self.front.lock:
            self.front.open -= 1
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.hand_on()

    def do_GET(self):
        self.hand_on()

    def hand_on(self):
        wait = self.front.wait_for_turn()
        if wait:
            self.send_response(429)
            self.send_header("Retry-After", str(wait))
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.front.note(method=self.command, path=self.path, status=429, bytes=0)
            return
        upstream = http.client.HTTPConnection(self.front.to, timeout=60)
        before = self.sent
        status = 0
        try:
            # Docker 20.10 sends one Accept line for each media type.
            headers = {name: ", ".join(lines) for name in PASSED_ON if (lines := self.headers.get_all(name))}
            upstream.request(self.command, self.path, headers=headers)
            answer = upstream.getresponse()
            status = answer.status
            self.pass_back(answer)
        except (Cut, OSError):
            self.close_connection = True
        finally:
            upstream.close()
            self.front.note(method=self.command, path=self.path, status=status, bytes=self.sent - before)

    def pass_back(self, answer):
        length = int(answer.headers["Content-Length"] or 0)
        time.sleep(self.front.habits.get("hold", 0) / 1000 * length / MIB)
        self.send_response(answer.status)
        for name in PASSED_BACK:
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        is_blob, of_this, began = "/blobs/" in self.path, 0, time.monotonic()
        cut, rate, stall = (self.front.habits.get(name) for name in ("cut", "rate", "stall"))
        while piece := answer.read(PIECE):
            if stall and is_blob and of_this + len(piece) > stall:
                time.sleep(120)
                raise Cut
            if cut:
                piece = piece[:cut - self.sent]
            self.wfile.write(piece)
            self.sent += len(piece)
            of_this += len(piece)
            if cut and self.sent >= cut:
                raise Cut
            if rate:
                ahead = of_this / rate - (time.monotonic() - began)
                time.sleep(max(0, ahead))


def main():
    to, log, port, *habits = sys.argv[1:]
    numbers = {name: int(value) for name, value in (habit.split("=") for habit in habits)}
    Handler.front = Front(to, log, numbers)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.daemon_threads = True
    server.serve_forever()


main()
