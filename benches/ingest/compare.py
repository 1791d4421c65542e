#!/usr/bin/env python3
"""Compares `raddle ingest` with what else stores messages of a network in a database, and with the databases' own ceilings.

    benches/ingest/compare.py              the whole comparison
    benches/ingest/compare.py --short      that everything works, as CI does; the figures mean little

Each round runs every program once, in another order. A cell is the median of the rounds, and the spread between the lowest and the
highest; a ratio is the median of the rounds' ratios. A run ends when everything that was sent is stored. Needs a release build with
`--features postgres` of raddle-cli and of the example `ceiling`, and what `.ci/peers` installs.
"""

import argparse
import glob
import os
import random
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
RADDLE = os.path.join(TARGET, "release/raddle")
CEILING = os.path.join(TARGET, "release/examples/ceiling")
PEERS = os.path.join(TARGET, "peers")
BIN = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [""])[-1]
LIMIT = 300
SIZE = 200
CONNECTIONS = 4


def text(number):
    begin = b"<13>1 2026-01-02T03:04:05.123456Z host%d app %d ID47 - message %d " % (number % 10, number, number)
    return begin.ljust(SIZE, b"x")


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "%s terminated" % process.args
            assert time.monotonic() < deadline, "%s does not listen" % process.args
            time.sleep(0.02)


def cpu(pid):
    """The processor time of all threads of a process, in seconds."""
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unprivileged(*command):
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


class Postgres:
    """A server with its usual settings, for the whole comparison."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        os.mkdir(folder)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = os.path.join(folder, "data")
        subprocess.run(
            unprivileged(BIN + "/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"),
            check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            unprivileged(BIN + "/postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                         "-c", "unix_socket_directories=", "-c", "max_wal_size=4GB"),
            stdout=subprocess.DEVNULL, stderr=open(os.path.join(folder, "log"), "w"))
        wait_for_port(self.port, self.process)
        while self.ask("SELECT 1") is None:
            time.sleep(0.1)
        self.execute("CREATE DATABASE syslog TEMPLATE template0 ENCODING 'SQL_ASCII'")

    def url(self):
        return "postgresql://postgres@127.0.0.1:%d/postgres" % self.port

    def ask(self, sql, database="postgres"):
        answer = subprocess.run(
            [BIN + "/psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database, "-c", sql],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return answer.stdout.strip() if answer.returncode == 0 else None

    def execute(self, sql, database="postgres"):
        assert self.ask(sql, database) is not None, sql

    def reset(self):
        self.execute("DROP SCHEMA IF EXISTS raddle CASCADE")
        self.execute("DROP TABLE IF EXISTS systemevents; CHECKPOINT", "syslog")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


# Senders: each returns the latencies of its acknowledgements in seconds, if there are any.

def send_stream(port, count, frame):
    """Sends over plain TCP, over several connections at once."""
    def send(connection):
        data = b"".join(frame(text(number)) for number in range(connection, count, CONNECTIONS))
        begin.wait()
        with socket.create_connection(("127.0.0.1", port)) as it:
            it.sendall(data)
            it.shutdown(socket.SHUT_WR)
            it.settimeout(LIMIT)
            # Some programs close only when they are stopped.
            it.settimeout(0.5)
            try:
                it.recv(1)
            except OSError:
                pass

    begin = threading.Barrier(CONNECTIONS + 1)
    threads = [threading.Thread(target=send, args=(number,)) for number in range(CONNECTIONS)]
    [it.start() for it in threads]
    begin.wait()
    return time.monotonic(), threads, lambda: []


def acknowledged(port, count, window, exchange):
    """Sends over one connection for each thread, in blocks of a quarter of the window."""
    latencies = []
    senders = 4
    block = max(1, window // senders)

    def send(sender):
        blocks = exchange(sender, count // senders, block)
        begin.wait()
        for latency in blocks:
            latencies.append(latency)

    begin = threading.Barrier(senders + 1)
    threads = [threading.Thread(target=send, args=(number,)) for number in range(senders)]
    [it.start() for it in threads]
    begin.wait()
    return time.monotonic(), threads, lambda: latencies


def send_relp(port, count, window):
    def exchange(sender, count, block):
        frames = []
        for first in range(0, count, block):
            texts = (text(number) for number in range(first, min(count, first + block)))
            frames.append(b"".join(b"%d syslog %d %s\n" % (number % 999_999_999 + 2, len(it), it)
                                   for number, it in enumerate(texts, first)))
        sizes = [min(block, count - first) for first in range(0, count, block)]
        it = socket.create_connection(("127.0.0.1", port))
        it.settimeout(LIMIT)
        offer = b"relp_version=0\nrelp_software=compare\ncommands=syslog"
        it.sendall(b"1 open %d %s\n" % (len(offer), offer))
        it.recv(4096)
        return run(it, frames, sizes)

    def run(it, frames, sizes):
        for data, size in zip(frames, sizes):
            begin = time.monotonic()
            it.sendall(data)
            seen = 0
            while seen < size:
                answer = it.recv(1 << 16)
                assert answer, "cut off"
                seen += answer.count(b"200 OK")  # one may be cut in two, and is then not counted: see below
                if answer[-16:].count(b"\n") == 0 or not answer.endswith(b"\n"):
                    rest = it.recv(1)
                    while not rest.endswith(b"\n"):
                        rest += it.recv(1)
                    joined = answer[-32:] + rest
                    seen += joined.count(b"200 OK") - answer[-32:].count(b"200 OK")
            yield time.monotonic() - begin

    return acknowledged(port, count, window, exchange)


def send_http(port, count, window):
    def exchange(sender, count, block):
        requests = []
        for first in range(0, count, block):
            body = b"".join(b'{"message":"%s"}\n' % text(number) for number in range(first, min(count, first + block)))
            requests.append(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
                b"Raddle-Sender: s%d\r\nRaddle-First: %d\r\nContent-Length: %d\r\n\r\n" % (sender, first + 1, len(body)) + body)
        it = socket.create_connection(("127.0.0.1", port))
        it.settimeout(LIMIT)
        return run(it, requests)

    def run(it, requests):
        for request in requests:
            begin = time.monotonic()
            while True:
                it.sendall(request)
                answer = b""
                while b"\r\n\r\n" not in answer:
                    part = it.recv(1 << 16)
                    assert part, "cut off"
                    answer += part
                head, body = answer.split(b"\r\n\r\n", 1)
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                while len(body) < int(fields[b"content-length"]):
                    body += it.recv(1 << 16)
                if head.startswith(b"HTTP/1.1 503"):
                    time.sleep(0.01)
                    continue
                assert head.startswith(b"HTTP/1.1 200"), answer
                break
            yield time.monotonic() - begin

    return acknowledged(port, count, window, exchange)


def lines(port, count):
    return send_stream(port, count, lambda it: it + b"\n")


def octets(port, count):
    return send_stream(port, count, lambda it: b"%d %s" % (len(it), it))


# Programs: each starts in a folder, and says how many messages are stored.

class SqliteStore:
    """`locks`: whether a look at the database takes its locks, which a writer with a log does not notice."""

    def __init__(self, folder, locks=True):
        self.path = os.path.join(folder, "messages.db")
        self.locks = locks
        self.db = None

    def last(self):
        """The number of the last row: fast, unlike a count."""
        try:
            if self.db is None:
                mode = "mode=ro" if self.locks else "immutable=1"
                self.db = sqlite3.connect("file:%s?%s" % (self.path, mode), uri=True, timeout=5)
            return self.db.execute("SELECT coalesce(max(rowid), 0) FROM messages").fetchone()[0]
        except sqlite3.DatabaseError:
            return 0
        finally:
            if not self.locks and self.db is not None:
                # It sees no changes.
                self.db.close()
                self.db = None

    def close(self):
        if self.db:
            self.db.close()

    def count(self):
        with sqlite3.connect(self.path, timeout=30) as db:
            return db.execute("SELECT count(*) FROM messages").fetchone()[0]


class PostgresStore:
    def __init__(self, server, table, database):
        self.server, self.table, self.database = server, table, database
        # One process, since starting one for each question would take the processors from what is measured.
        self.psql = subprocess.Popen(
            [BIN + "/psql", "-XAtq", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)

    def last(self):
        sql = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('%s', 'id')::regclass), 0);" % self.table
        self.psql.stdin.write(sql + "\n\\echo end\n")
        answer = list(iter(self.psql.stdout.readline, "end\n"))
        return int(answer[0]) if answer else 0

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()

    def count(self):
        return int(self.server.ask("SELECT count(*) FROM %s" % self.table, self.database) or 0)


def raddle(kind, send, window=None):
    def start(folder, server):
        port = free_port()
        arguments = [RADDLE, "ingest", "--listen", "%s://127.0.0.1:%d" % (kind, port), "--log-level", "error"]
        return arguments, port, SqliteStore(folder)
    return start, (lambda port, count: send(port, count, window)) if window else send


def raddle_postgres(folder, server):
    port = free_port()
    arguments = [RADDLE, "ingest", "--listen", "tcp://127.0.0.1:%d" % port, "--postgres", server.url(), "--log-level", "error"]
    return arguments, port, PostgresStore(server, "raddle.messages", "postgres")


def tutorial(batch, *columns):
    def start(folder, server):
        port = free_port()
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tutorial.py")
        return [sys.executable, script, str(port), os.path.join(folder, "messages.db"), str(batch), *columns], port, SqliteStore(folder)
    return start


def rsyslog(folder, server):
    port, path = free_port(), os.path.join(folder, "rsyslog.conf")
    server.execute(
        "CREATE TABLE systemevents (id serial PRIMARY KEY, received timestamp, host text, facility int, severity int, tag text, message text)",
        "syslog")
    with open(path, "w") as file:
        file.write("""
global(workDirectory="%s")
module(load="imtcp")
module(load="ompgsql")
template(name="row" type="list" option.stdsql="on") {
    constant(value="INSERT INTO systemevents (received, host, facility, severity, tag, message) VALUES ('")
    property(name="timereported" dateformat="pgsql" date.inUTC="on")
    constant(value="', '") property(name="hostname")
    constant(value="', ") property(name="syslogfacility")
    constant(value=", ") property(name="syslogpriority")
    constant(value=", '") property(name="syslogtag")
    constant(value="', '") property(name="msg")
    constant(value="')")
}
main_queue(queue.size="1000000" queue.dequeueBatchSize="1024")
input(type="imtcp" port="%d" address="127.0.0.1")
action(type="ompgsql" server="127.0.0.1" port="%d" user="postgres" pass="x" db="syslog" template="row")
""" % (folder, port, server.port))
    arguments = ["/usr/sbin/rsyslogd", "-n", "-i", os.path.join(folder, "pid"), "-f", path]
    return arguments, port, PostgresStore(server, "systemevents", "syslog")


def syslog_ng(folder, server):
    port, path = free_port(), os.path.join(folder, "syslog-ng.conf")
    lib = os.path.join(PEERS, "usr/lib/syslog-ng")
    with open(path, "w") as file:
        file.write("""@version: 3.38
options { stats-freq(0); };
source s { network(ip("127.0.0.1") port(%d) flags(syslog-protocol) log-iw-size(100000) max-connections(100)); };
destination d { sql(type(sqlite3) database("%s") table("messages")
    columns("received integer", "host text", "facility integer", "severity integer", "app text", "text text")
    values("$R_UNIXTIME", "$HOST", "$FACILITY_NUM", "$LEVEL_NUM", "$PROGRAM", "$MSG")
    indexes() flags(explicit-commits) batch-lines(1000) batch-timeout(1000)); };
log { source(s); destination(d); flags(flow-control); };
""" % (port, os.path.join(folder, "messages.db")))
    arguments = ["env", "LD_LIBRARY_PATH=" + lib, os.path.join(PEERS, "usr/sbin/syslog-ng"), "-F", "--no-caps", "-f", path,
                 "--module-path", os.path.join(lib, "3.38"), "-R", os.path.join(folder, "persist"),
                 "-c", os.path.join(folder, "ctl"), "--pidfile", os.path.join(folder, "pid")]
    # It has no log, and pauses for a minute when it finds the database locked by a reader.
    return arguments, port, SqliteStore(folder, locks=False)


def run(case, count, work, server):
    """Runs a program once. Returns messages per second, processor time per message in microseconds, and latencies."""
    start, send = case
    folder = tempfile.mkdtemp(dir=work)
    server.reset()
    arguments, port, store = start(folder, server)
    with open(os.path.join(folder, "err"), "w") as err:
        process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=err)
    try:
        wait_for_port(port, process)
        time.sleep(0.2)
        before = cpu(process.pid)
        begin, threads, latencies = send(port, count)
        deadline = begin + LIMIT
        while store.last() < count and time.monotonic() < deadline:
            time.sleep(0.01)
        passed = time.monotonic() - begin
        used = cpu(process.pid) - before
        [it.join() for it in threads]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    stored = store.count()
    store.close()
    shutil.rmtree(folder)
    return {"rate": min(stored, count) / passed, "cpu": used / count * 1e6, "latencies": sorted(latencies()),
            "lost": count - stored}


def ceiling(*arguments):
    return lambda: {"rate": float(subprocess.run([CEILING, *map(str, arguments)], check=True, capture_output=True).stdout)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a round of few messages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--only", default="", help="only programs whose names contain one of these, separated by semicolons")
    options = parser.parse_args()
    rounds, many = (1, 8_000) if options.short else (options.rounds, options.messages)
    slow, slowest = many // 10, many // 100
    for program in (RADDLE, CEILING):
        assert os.path.exists(program), "%s is missing: build with --release --features postgres" % program

    work = tempfile.mkdtemp(prefix="raddle-compare-")
    os.chmod(work, 0o755)
    server = Postgres(os.path.join(work, "server"))
    database = os.path.join(work, "ceiling.db")
    P = "raddle, PostgreSQL"
    cases = {
        "SQLite alone": ("ceiling", ceiling("sqlite", database, many, 10_000)),
        "SQLite alone, pages as raddle's": ("ceiling", ceiling("sqlite", database, many, 10_000, 8192)),
        "raddle, lines": (raddle("tcp", lines), many),
        "raddle, octet counts": (raddle("tcp", octets), many),
        "raddle, RELP, window 20000": (raddle("relp", send_relp, 20_000), many),
        "raddle, RELP, window 64": (raddle("relp", send_relp, 64), slow),
        "raddle, HTTP, window 20000": (raddle("http", send_http, 20_000), many),
        "raddle, HTTP, window 64": (raddle("http", send_http, 64), slow),
        "syslog-ng, SQLite": ((syslog_ng, lines), many // 4),
        "tutorial, batched": ((tutorial(1000, "columns"), lines), many // 2),
        "tutorial, batched, text only": ((tutorial(1000), lines), many // 2),
        "tutorial, a commit a message": ((tutorial(1), lines), slowest),
        "PostgreSQL alone": ("ceiling", ceiling("postgres", server.url(), many, 10_000, 2)),
        P: ((raddle_postgres, lines), many),
        "rsyslog, PostgreSQL": ((rsyslog, lines), slow),
    }
    cases = {name: case for name, case in cases.items() if any(part in name for part in options.only.split(";"))}
    if not os.path.exists(os.path.join(PEERS, "usr/sbin/syslog-ng")):
        cases.pop("syslog-ng, SQLite", None)
        print("skipped: syslog-ng is missing: run .ci/peers")
    results = {name: [] for name in cases}
    try:
        for number in range(rounds):
            order = list(cases)
            random.shuffle(order)
            for name in order:
                kind, more = cases[name]
                if kind == "ceiling":
                    server.reset()
                    for file in glob.glob(database + "*"):
                        os.remove(file)
                    result = more()
                else:
                    result = run(kind, more, work, server)
                results[name].append(result)
                print("round %d: %-30s %9.0f msgs/s" % (number + 1, name, result["rate"]), file=sys.stderr)
    finally:
        server.stop()
        shutil.rmtree(work)
    report(results)
    lost = {name: sum(it.get("lost", 0) for it in runs) for name, runs in results.items()}
    if any(lost[name] for name in lost if name.startswith("raddle")):
        sys.exit("raddle lost messages: %s" % lost)


def report(results):
    def percentile(values, part):
        return values[min(len(values) - 1, int(len(values) * part))]

    print("| program | msgs/s stored | spread | µs of CPU a message | acknowledged after p50 | p99 | lost |")
    print("|---|---|---|---|---|---|---|")
    for name, runs in results.items():
        rates = sorted(it["rate"] for it in runs)
        row = [name, "%d" % statistics.median(rates), "%d–%d" % (rates[0], rates[-1])]
        if "cpu" in runs[0]:
            row.append("%.1f" % statistics.median(it["cpu"] for it in runs))
            latencies = sorted(latency for it in runs for latency in it["latencies"])
            row += ["%.1f ms" % (percentile(latencies, part) * 1e3) if latencies else "" for part in (0.5, 0.99)]
            row.append("%d" % sum(it["lost"] for it in runs))
        else:
            row += ["", "", "", ""]
        print("| " + " | ".join(row) + " |")
    print()
    print("| goal | ratio | spread | reached |")
    print("|---|---|---|---|")
    goals = [
        ("raddle, lines", "SQLite alone", 0.9), ("raddle, octet counts", "SQLite alone", 0.9),
        ("raddle, lines", "SQLite alone, pages as raddle's", 0.9),
        ("raddle, RELP, window 20000", "SQLite alone", 0.7), ("raddle, HTTP, window 20000", "SQLite alone", 0.7),
        ("raddle, lines", "syslog-ng, SQLite", 8),
        ("raddle, lines", "tutorial, batched", 3), ("raddle, lines", "tutorial, batched, text only", 3),
        ("raddle, PostgreSQL", "PostgreSQL alone", 0.7), ("raddle, PostgreSQL", "rsyslog, PostgreSQL", 8),
    ]
    for name, other, goal in goals:
        if name in results and other in results:
            ratios = sorted(one["rate"] / two["rate"] for one, two in zip(results[name], results[other]))
            middle = statistics.median(ratios)
            print("| %s ≥ %g × %s | %.2f | %.2f–%.2f | %s |" % (
                name, goal, other, middle, ratios[0], ratios[-1], "yes" if middle >= goal else "**no**"))
    for name in ("raddle, lines", "raddle, octet counts"):
        if name in results:
            used = sorted(it["cpu"] for it in results[name])
            middle = statistics.median(used)
            print("| %s: at most 2.5 µs of CPU a message | %.1f | %.1f–%.1f | %s |" % (
                name, middle, used[0], used[-1], "yes" if middle <= 2.5 else "**no**"))


if __name__ == "__main__":
    main()
