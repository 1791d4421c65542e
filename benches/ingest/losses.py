#!/usr/bin/env python3
"""Shows what `raddle ingest` and its peers lose when they are stopped or killed in the middle of a burst.

    benches/ingest/losses.py               SIGTERM and SIGKILL, each in a burst of a second, three rounds
    benches/ingest/losses.py --short       one round of short bursts, as CI does

Four connections send at full speed. After the time of the burst they stop, and the program gets the signal. Then it is started once more, with the
same arguments, and stopped when it stores nothing more: what it had kept in a file counts as stored. A message is sent if the operating
system has accepted it before the signal, and acknowledged if the sender has received its acknowledgement. Needs what `compare.py` needs.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import compare

#: Messages per write, and per acknowledgement.
BLOCK = 50
WINDOW = 1000
#: How long a program may take to stop.
STOP = 120


class Sender:
    """Sends blocks over a connection until it is stopped or the connection is lost."""

    def __init__(self, port, connection):
        self.numbers, self.acknowledged = range(connection, 1 << 40, compare.CONNECTIONS), 0
        self.sent, self.over = 0, threading.Event()
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.connection = connection
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            self.begin()
            while not self.over.is_set():
                self.send()
        except (OSError, EOFError):
            pass  # the program has ended

    def begin(self):
        pass

    def texts(self, count):
        return [compare.text(self.numbers[self.sent + index]) for index in range(count)]

    def send(self):
        self.socket.sendall(b"".join(it + b"\n" for it in self.texts(BLOCK)))
        self.sent += BLOCK

    def receive(self):
        answer = self.socket.recv(1 << 16)
        if not answer:
            raise EOFError
        return answer

    def end(self):
        self.socket.close()
        self.thread.join()


class Relp(Sender):
    def begin(self):
        offer = b"relp_version=0\nrelp_software=losses\ncommands=syslog"
        self.socket.sendall(b"1 open %d %s\n" % (len(offer), offer))
        self.rest = b""
        while b"commands=syslog\n" not in self.rest:
            self.rest += self.receive()
        self.rest = b""

    def send(self):
        frames = enumerate(self.texts(WINDOW), self.sent + 2)
        self.socket.sendall(b"".join(b"%d syslog %d %s\n" % (number, len(it), it) for number, it in frames))
        self.sent += WINDOW
        while self.acknowledged < self.sent:
            *whole, self.rest = (self.rest + self.receive()).split(b"\n")
            self.acknowledged += sum(it.endswith(b"rsp 6 200 OK") for it in whole)


class Http(Sender):
    def send(self):
        body = b"".join(b'{"message":"%s"}\n' % it for it in self.texts(WINDOW))
        self.socket.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nRaddle-Sender: s%d\r\nRaddle-First: %d\r\n"
            b"Content-Length: %d\r\n\r\n" % (self.connection, self.sent + 1, len(body)) + body)
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += self.receive()
        if answer.startswith(b"HTTP/1.1 200"):
            self.sent += WINDOW
            self.acknowledged = self.sent


def stored_in_sqlite(store):
    with sqlite3.connect(store.path, timeout=30) as db:
        return [text for (text,) in db.execute("SELECT text FROM messages")]


def stored_in_postgres(store):
    column = "text" if store.table.startswith("raddle") else "message"
    answer = subprocess.run(
        [compare.BIN + "/psql", "-XAtq", "-h", "127.0.0.1", "-p", str(store.server.port), "-U", "postgres", store.database,
         "-c", "SELECT %s FROM %s" % (column, store.table)], stdout=subprocess.PIPE, check=True, text=True)
    return answer.stdout.splitlines()


def disk_assisted(folder, server):
    """rsyslog with a queue that is written to the disk when it is stopped."""
    arguments, port, store = compare.rsyslog(folder, server)
    path = os.path.join(folder, "rsyslog.conf")
    with open(path) as file:
        text = file.read()
    saved = 'main_queue(queue.type="LinkedList" queue.filename="main" queue.saveOnShutdown="on" '
    assert "main_queue(" in text
    with open(path, "w") as file:
        file.write(text.replace("main_queue(", saved))
    return arguments, port, store


def start(arguments, folder, port):
    with open(os.path.join(folder, "err"), "a") as err:
        process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=err)
    compare.wait_for_port(port, process)
    return process


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def trial(case, number, seconds, work, server):
    """Returns how many messages were sent, acknowledged, sent and lost, acknowledged and lost, and stored twice."""
    begin, sender = case
    folder = tempfile.mkdtemp(dir=work)
    server.reset()
    arguments, port, store = begin(folder, server)
    process = start(arguments, folder, port)
    senders = [sender(port, connection) for connection in range(compare.CONNECTIONS)]
    try:
        [it.thread.start() for it in senders]
        time.sleep(seconds)
        [it.over.set() for it in senders]
        sent = [set(it.numbers[:it.sent]) for it in senders]
        if number == signal.SIGKILL:
            process.kill()
            process.wait()
        else:
            stop(process)
        [it.end() for it in senders]
        acknowledged = [set(it.numbers[:it.acknowledged]) for it in senders]
        process = start(arguments, folder, port)
        last, since = None, time.monotonic()
        while time.monotonic() - since < 3:
            now = store.last()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            stop(process)
    texts = (stored_in_postgres if isinstance(store, compare.PostgresStore) else stored_in_sqlite)(store)
    numbers = [int(found.group(1)) for found in (re.search(r"message (\d+) ", it) for it in texts) if found]
    store.close()
    shutil.rmtree(folder)
    stored = set(numbers)
    sent, acknowledged = set().union(*sent), set().union(*acknowledged)
    return len(sent), len(acknowledged), len(sent - stored), len(acknowledged - stored), len(numbers) - len(stored)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a round of short bursts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only programs whose names contain one of these, separated by semicolons")
    options = parser.parse_args()
    rounds, seconds = (1, 0.3) if options.short else (options.rounds, 1)
    assert os.path.exists(compare.RADDLE), "%s is missing: build with --release --features postgres" % compare.RADDLE
    cases = {
        "raddle, lines, SQLite": (compare.raddle("tcp", None)[0], Sender),
        "raddle, RELP, SQLite": (compare.raddle("relp", None)[0], Relp),
        "raddle, HTTP, SQLite": (compare.raddle("http", None)[0], Http),
        "raddle, lines, PostgreSQL": (compare.raddle_postgres, Sender),
        "syslog-ng, SQLite": (compare.syslog_ng, Sender),
        "rsyslog, memory queue, PostgreSQL": (compare.rsyslog, Sender),
        "rsyslog, disk-assisted queue, PostgreSQL": (disk_assisted, Sender),
        "tutorial, batched, SQLite": (compare.tutorial(1000), Sender),
    }
    cases = {name: case for name, case in cases.items() if any(part in name for part in options.only.split(";"))}
    if not os.path.exists(os.path.join(compare.PEERS, "usr/sbin/syslog-ng")):
        cases.pop("syslog-ng, SQLite", None)
        print("skipped: syslog-ng is missing: run .ci/peers")
    work = tempfile.mkdtemp(prefix="raddle-losses-")
    os.chmod(work, 0o755)
    server = compare.Postgres(os.path.join(work, "server"))
    wrong = []
    print("| program | signal | sent | lost | acknowledged | of these lost | stored twice |")
    print("|---|---|---|---|---|---|---|")
    try:
        for name, case in cases.items():
            for number in (signal.SIGTERM, signal.SIGKILL):
                results = [trial(case, number, seconds, work, server) for _ in range(rounds)]
                columns = list(zip(*results))
                cells = ["%d" % low if low == high else "%d–%d" % (low, high)
                         for low, high in ((min(it), max(it)) for it in columns)]
                if not any(columns[1]):
                    cells[1] = cells[3] = ""
                sent, acknowledged, lost, broken, doubled = cells
                print("| " + " | ".join([name, number.name, sent, lost, acknowledged, broken, doubled]) + " |", flush=True)
                if name.startswith("raddle") and any(columns[3]):
                    wrong.append(name)
    finally:
        server.stop()
        shutil.rmtree(work)
    if wrong:
        sys.exit("acknowledged messages were lost: %s" % wrong)


if __name__ == "__main__":
    main()
