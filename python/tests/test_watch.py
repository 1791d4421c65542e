"""The watch names deadlocks in the lines of the Python program."""

import os
import subprocess
import sys

DEADLOCK = '''\
import raddle.threading as threading

left, right = threading.Lock(), threading.Lock()
ready = threading.Barrier(2)

def work(first, second):
    with first:
        ready.wait()
        with second:  # line 9
            pass

threads = [threading.Thread(target=work, args=pair) for pair in ((left, right), (right, left))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
'''


def test_deadlock_is_reported_with_python_lines(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(DEADLOCK)
    child = subprocess.Popen(
        [sys.executable, str(program)],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, RADDLE_WATCH="1"),
    )
    try:
        report = ""
        while report.count("waits for Lock") < 2:  # any thread may release a lock: suspected after ten seconds
            line = child.stderr.readline()
            assert line, report
            report += line
    finally:
        child.kill()
        child.communicate()
    assert report.count(f"{program}:9, in work") == 2, report
    assert all(f"Thread-{number} (work)" in report for number in (1, 2)), report


DEADLOCK_OF_OWNERS = DEADLOCK.replace("Lock(), threading.Lock()", "RLock(), threading.RLock()").replace(
    "    with first:", "    try:\n     with first:"
).replace("        with second:  # line 9\n            pass", "        with second:\n            pass\n    except RuntimeError as error:\n        print(error)")


def test_deadlock_can_raise_an_exception(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(DEADLOCK_OF_OWNERS)
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        env=dict(os.environ, RADDLE_WATCH="panic"),
        timeout=60,
    )
    assert done.returncode == 0, done
    assert "deadlock" in done.stdout and f"{program}:" in done.stdout, done
