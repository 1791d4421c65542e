"""The tutorial's program: threads read messages, a bounded queue, and a thread that writes them to a database.

usage: tutorial.py PORT DATABASE BATCH      (a BATCH of 1 commits each message)
"""

import queue
import signal
import socketserver
import sqlite3
import sys
import threading
import time

port, path, batch = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
messages = queue.Queue(10_000)
stop = threading.Event()


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        peer = "%s:%d" % self.client_address
        for line in self.rfile:
            messages.put((time.time_ns() // 1000, peer, line.rstrip(b"\n").decode()))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def write():
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, received INTEGER, peer TEXT, text TEXT)")
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
        db.executemany("INSERT INTO messages (received, peer, text) VALUES (?, ?, ?)", rows)
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
