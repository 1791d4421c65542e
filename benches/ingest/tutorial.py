"""The tutorial's program: threads read messages, a bounded queue, and a thread that writes them to a database.

usage: tutorial.py PORT DATABASE BATCH [columns]

A BATCH of 1 commits each message. With `columns`, the header of a message (RFC 5424) is parsed, and stored in the columns that `raddle
ingest` has; otherwise only the text is stored.
"""

import datetime
import queue
import re
import signal
import socketserver
import sqlite3
import sys
import threading
import time

port, path, batch = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with_columns = sys.argv[4:] == ["columns"]
messages = queue.Queue(10_000)
stop = threading.Event()


COLUMNS = ["received", "peer", "text"]
if with_columns:
    COLUMNS += ["source", "sent", "facility", "severity", "host", "app", "process", "message_id", "body_from"]

HEADER = re.compile(r"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) (?:-|(?:\[[^]]*\])+) ?")


def header(line):
    """The values of the columns behind the first three."""
    found = HEADER.match(line)
    if not found:
        return "tcp", None, None, None, None, None, None, None, None
    priority, sent, host, app, process, message_id = found.groups()
    priority, sent = int(priority), datetime.datetime.fromisoformat(sent)
    return "tcp", int(sent.timestamp() * 1e6), priority >> 3, priority & 7, host, app, process, message_id, found.end() + 1


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        peer = "%s:%d" % self.client_address
        for line in self.rfile:
            text = line.rstrip(b"\n").decode()
            row = time.time_ns() // 1000, peer, text
            messages.put(row + header(text) if with_columns else row)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def write():
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, %s)" % ", ".join(COLUMNS))
    insert = "INSERT INTO messages (%s) VALUES (%s)" % (", ".join(COLUMNS), ", ".join("?" * len(COLUMNS)))
    ready.set()
    while not (stop.is_set() and messages.empty()):
        try:
            rows = [messages.get(timeout=0.1)]
        except queue.Empty:
            continue
        while len(rows) < batch:
            try:
                rows.append(messages.get_nowait())
            except queue.Empty:
                break
        db.execute("BEGIN")
        db.executemany(insert, rows)
        db.execute("COMMIT")
    db.close()


ready = threading.Event()
writer = threading.Thread(target=write)
writer.start()
ready.wait()
server = Server(("127.0.0.1", port), Handler)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
stop.set()
writer.join()
