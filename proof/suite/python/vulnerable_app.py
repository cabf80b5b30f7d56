"""An application that is deliberately open to injection: it builds SQL by putting what visitors send into texts.

Only for drills on loopback. Arguments: the port to serve on, a connection string, and a file that gets one line of JSON for
each statement: what was asked, and whether it ran, was refused by the gate or failed in the server.
"""

import json
import queue
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg

PORT, WANTED, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3]
PAGES = {
    # A number, unquoted.
    "/member": lambda ask: "SELECT id, name FROM members WHERE id = " + ask("id", "1"),
    # A text, in quotes.
    "/search": lambda ask: "SELECT name FROM members WHERE name LIKE '" + ask("q", "smith") + "%' ORDER BY name LIMIT 20",
    "/news": lambda ask: "SELECT id, about FROM news ORDER BY id LIMIT 10",
}
CONNECTIONS, LOCK = queue.LifoQueue(), threading.Lock()


def is_attack(page, ask):
    """Whether what was sent is anything else than a value: judged without the gate, by what a careful application would take."""
    if page == "/member":
        # Brackets and a comment around a number leave the statement what it is.
        return not re.fullmatch(r"[\s(]*-?\d{1,9}[\s)]*(--.*|/\*[^*]*\*/\s*)?", ask("id", "1"), re.S)
    if page == "/search":
        return "'" in ask("q", "smith").replace("''", "")
    return False


def run(statement):
    """The rows, or the server's complaint and whether it is the gate's."""
    try:
        connection = CONNECTIONS.get_nowait()
    except queue.Empty:
        connection = psycopg.connect(WANTED, autocommit=True)
    try:
        cursor = connection.execute(statement)
        rows = []
        while True:
            if cursor.description is not None:
                rows += cursor.fetchall()
            if not cursor.nextset():
                break
        outcome, answer = "ran", rows
    except psycopg.Error as error:
        words = str(error)
        outcome, answer = "refused" if "reference" in words else "failed", words
    if connection.closed or connection.broken:
        connection.close()
    else:
        CONNECTIONS.put(connection)
    return outcome, answer


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        parts = urlsplit(self.path)
        values = parse_qs(parts.query, keep_blank_values=True)
        ask = lambda name, otherwise: values.get(name, [otherwise])[0]
        make = PAGES.get(parts.path)
        if make is None:
            return self.answer(404, "no such page")
        statement = make(ask).replace("\0", "")
        outcome, answer = run(statement)
        with LOCK, open(LOG, "a", encoding="utf-8") as log:
            line = {"page": parts.path, "attack": is_attack(parts.path, ask), "outcome": outcome, "statement": statement}
            log.write(json.dumps(line) + "\n")
        if outcome == "ran":
            self.answer(200, "<ul>" + "".join("<li>%s</li>" % " | ".join(map(str, row)) for row in answer) + "</ul>")
        else:
            self.answer(500, "<pre>%s</pre>" % answer)

    def answer(self, status, text):
        body = ("<html><body><h1>Members</h1>%s</body></html>" % text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
server = ThreadingHTTPServer(("127.0.0.1", PORT), Page)
print("serving", flush=True)
server.serve_forever()
