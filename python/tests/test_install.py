"""`raddle.install`: the package's names in the standard library's modules, and back."""

import textwrap

import pytest
from programs import execute

#: Programs that contain their own assertions. Each runs in a process of its own.
PROGRAMS = {
    "import changes nothing": """
        import queue, threading, concurrent.futures, logging, signal, sys
        def state():
            modules = (queue, threading, concurrent.futures, logging, signal, sys, threading.Thread)
            ignored = {"modules", "path_importer_cache", "ThreadPoolExecutor", "thread"}
            return [{n: v for n, v in vars(m).items() if n not in ignored} for m in modules]
        handlers = [signal.getsignal(n) for n in signal.valid_signals()]
        before = state()
        import raddle
        assert state() == before
        assert [signal.getsignal(n) for n in signal.valid_signals()] == handlers
        assert threading.active_count() == 1""",
    "import loads no module that is seldom needed": """
        import sys, raddle
        assert not {"logging", "concurrent.futures", "asyncio", "pytest"} & set(sys.modules)""",
    "pool of interpreters stays the standard library's": """
        import sys, raddle
        raddle.install()
        import concurrent.futures
        if sys.version_info >= (3, 14):
            pool = concurrent.futures.InterpreterPoolExecutor(1)
            assert not isinstance(pool, raddle.ThreadPoolExecutor)
            with pool:
                assert pool.submit(eval, "__import__('_interpreters').get_current()[0]").result() > 0""",
    "names are put in and back": """
        import queue, threading, concurrent.futures, raddle, raddle.threading, raddle.queue
        modules = [threading, queue, concurrent.futures, threading.Thread]
        concurrent.futures.ThreadPoolExecutor, getattr(concurrent.futures, "InterpreterPoolExecutor", None)
        before = [dict(vars(module)) for module in modules]
        raddle.install()
        raddle.install()
        for name in ("Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "Timer"):
            assert getattr(threading, name) is getattr(raddle, name), name
        for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
            assert getattr(queue, name) is getattr(raddle, name), name
        raddle.uninstall()
        raddle.uninstall()
        assert [dict(vars(module)) for module in modules] == before""",
    "what the program replaced itself stays": """
        import threading, raddle
        raddle.install()
        mine = threading.Lock = object()
        raddle.uninstall()
        assert threading.Lock is mine and threading.RLock is not raddle.RLock""",
    "threads stay threads": """
        import threading
        class Early(threading.Thread):
            def run(self):
                self.result = threading.current_thread() is self
        early = Early()
        import raddle
        raddle.install()
        assert isinstance(threading.main_thread(), threading.Thread)
        class Late(threading.Thread):
            run = Early.run
        for thread in (early, Late(), threading.Timer(0, lambda: None)):
            assert isinstance(thread, threading.Thread)
            thread.start()
            assert threading.current_thread() is threading.main_thread()
            thread.join()
            assert getattr(thread, "result", True) and not thread.is_alive() and thread not in threading.enumerate()
            thread.join(0), thread.join(1), thread.join()
        try:
            threading.Thread().join()
        except RuntimeError as error:
            assert str(error) == "cannot join thread before it is started"
        try:
            threading.current_thread().join()
        except RuntimeError as error:
            assert str(error) == "cannot join current thread"
        held = threading.Event()
        waits = threading.Thread(target=held.wait)
        waits.start()
        waits.join(0), waits.join(0.01), waits.join(-1)
        assert waits.is_alive()
        held.set()
        waits.join()""",
    "locks of logging are replaced": """
        import io, logging, os, raddle
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        raddle.install()
        assert isinstance(logging._lock, raddle.RLock) and isinstance(handler.lock, raddle.RLock)
        logging.basicConfig(handlers=[handler], format="%(message)s")
        logging.warning("one")
        if (child := os.fork()) == 0:
            logging.warning("of the child")
            os._exit(stream.getvalue() != "one\\nof the child\\n")
        assert os.waitpid(child, 0)[1] == 0
        raddle.uninstall()
        assert not isinstance(logging._lock, raddle.RLock) and not isinstance(handler.lock, raddle.RLock)
        logging.warning("two")
        assert stream.getvalue() == "one\\ntwo\\n" """,
    "held lock of logging stays": """
        import concurrent.futures.thread, logging, threading, raddle
        old, held, done = logging._lock, threading.Event(), threading.Event()
        def hold():
            with old:
                held.set()
                done.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        raddle.install()
        assert logging._lock is old
        done.set()
        thread.join()
        raddle.uninstall()
        raddle.install()
        assert isinstance(logging._lock, raddle.RLock)
        held.clear(), done.clear()
        old = logging._lock
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        raddle.uninstall()
        assert logging._lock is old
        done.set()
        thread.join()
        logging.getLogger("x").warning("works")""",
    "standard library works on the names": """
        import asyncio, concurrent.futures, logging.handlers, multiprocessing.dummy, os, sched, socketserver, subprocess, sys
        import raddle
        raddle.install()
        import queue, threading
        async def main():
            return await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(4)))
        assert asyncio.run(main()) == [1, 2, 4, 8]
        with multiprocessing.dummy.Pool(3) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
            assert pool.submit(divmod, 7, 2).result() == (3, 1)
        records = queue.Queue()
        got = []
        class Handler(logging.Handler):
            def emit(self, record):
                got.append(record.getMessage())
        listener = logging.handlers.QueueListener(records, Handler())
        listener.start()
        logging.handlers.QueueHandler(records).handle(logging.makeLogRecord({"msg": "text"}))
        listener.stop()
        assert got == ["text"]
        assert subprocess.run([sys.executable, "-c", "pass"], capture_output=True).returncode == 0
        scheduler = sched.scheduler()
        scheduler.enter(0, 0, got.clear)
        scheduler.run()
        assert not got
        class Answer(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(self.rfile.readline())
        import socket
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            with socket.create_connection(server.server_address) as client:
                client.sendall(b"hello\\n")
                assert client.recv(6) == b"hello\\n"
            server.shutdown()
            thread.join()""",
    "processes work": """
        import multiprocessing
        import raddle
        def square(n):
            return n * n
        if __name__ == "__main__":
            raddle.install()
            context = multiprocessing.get_context("fork")
            with context.Pool(2) as pool:
                assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
            results = context.Queue()
            process = context.Process(target=results.put, args=(1,))
            process.start()
            assert results.get() == 1
            process.join()
            assert process.exitcode == 0
            from concurrent.futures import ProcessPoolExecutor
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                assert pool.submit(square, 3).result() == 9""",
    "non-daemon threads are joined at the end": """
        import threading, raddle
        raddle.install()
        def work():
            threading.main_thread().join()
            print("finishes")
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        threading.Thread(target=work).start()""",
    "pools end with the program": """
        import concurrent.futures, raddle
        raddle.install()
        pool = concurrent.futures.ThreadPoolExecutor(2)
        print(pool.submit(abs, -1).result())""",
}
OUTPUT = {"non-daemon threads are joined at the end": "finishes\n", "pools end with the program": "1\n"}
#: What the program writes on standard error.
ERRORS = {"held lock of logging stays": "works\n"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_installed_names(program, name):
    path = program(textwrap.dedent(PROGRAMS[name]))
    assert execute("-X", "dev", "-W", "ignore", path) == (0, OUTPUT.get(name, ""), ERRORS.get(name, ""))
