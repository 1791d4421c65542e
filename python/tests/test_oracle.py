"""The oracle's own tests: it finds what is planted, and reports nothing else."""

import sys

import pytest
from programs import explores

pytestmark = explores

if sys.version_info >= (3, 12):
    from oracle import compare, corpus, explorer, stand_ins, workers

EXECUTIONS = 200


def loaded(source):
    return stand_ins.load(source, "<planted>", "planted")


def findings(source, executions=EXECUTIONS, **options):
    return explorer.explore(loaded(source).program, executions, **options)


RACE = """
import threading

def program():
    cells = [0]
    def add():
        cells[0] += 1
    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return cells[0]
"""


def test_planted_race_is_found():
    found = findings(RACE.replace("return cells[0]", "assert cells[0] == 2"))
    assert found.failure.kind == "exception" and "AssertionError" in found.failure.text


def test_found_race_is_replayed():
    program = loaded(RACE.replace("return cells[0]", "assert cells[0] == 2")).program
    found = explorer.explore(program, EXECUTIONS)
    assert repr(explorer.replay(program, found.decisions).failure) == repr(found.failure)


def test_all_values_are_collected():
    assert set(findings(RACE).values) == {"1", "2"}


def test_the_same_seed_finds_the_same():
    first, second = findings(RACE, seed=5), findings(RACE, seed=5)
    assert first.values == second.values


def test_planted_deadlock_is_found():
    found = findings("""
import threading

def program():
    a, b = threading.Lock(), threading.Lock()
    def one():
        with a, b: pass
    def two():
        with b, a: pass
    threads = [threading.Thread(target=one), threading.Thread(target=two)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
""")
    assert found.failure.kind == "deadlock" and found.failure.text.count("waits for a lock") == 2


def test_thread_switches_inside_a_callback_of_c_code():
    found = findings("""
import threading

def program():
    items, seen = [2, 1], []
    thread = threading.Thread(target=lambda: seen.append(len(items)))
    thread.start()
    items.sort(key=lambda item: item)
    thread.join()
    return seen[0]
""")
    assert set(found.values) == {"0", "2"}


def test_early_timeout_is_found():
    found = findings("""
import threading

def program():
    event = threading.Event()
    threading.Thread(target=event.set).start()
    return event.wait(1.0)
""")
    assert set(found.values) == {"True", "False"}


def test_time_is_virtual():
    found = findings(
        """
import time

def program():
    began = time.monotonic()
    time.sleep(3600)
    return 3600 <= time.monotonic() - began < 3601
""",
        executions=5,
    )
    assert set(found.values) == {"True"}


def test_blocked_daemon_is_no_deadlock():
    found = findings(
        """
import threading

def program():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
""",
        executions=50,
    )
    assert found.failure is None


def test_polling_ends():
    found = findings(
        """
import threading

def program():
    done = []
    threading.Thread(target=lambda: done.append(1)).start()
    while not done:
        pass
""",
        executions=50,
    )
    assert found.failure is None and found.too_long == 0


FAMILIES = corpus.FAMILIES if sys.version_info >= (3, 12) else []
FREE = [family for family in FAMILIES if family.startswith("free_")]
PAIRED = [family for family in FAMILIES if family not in FREE]


@pytest.mark.parametrize("family", PAIRED)
def test_programs_fail_or_hold_as_they_say(family):
    for name, (program, fails) in corpus.programs(stand_ins.load(*corpus.source(family), family)).items():
        found = explorer.explore(program, 400 if fails else 50)
        assert (found.failure is not None) == fails, f"{name}: {found!r}"


@pytest.fixture(scope="module")
def judges():
    check, explore = workers.Worker("check"), workers.Worker("explore")
    yield check, explore
    check.close()
    explore.close()


@pytest.mark.parametrize("family", PAIRED)
def test_check_exhausts_no_program_that_fails(family, judges):
    found = [compare.of_corpus(*program, judges[0]) for program in compare.corpus_programs([family]) if program[2]]
    assert not [str(finding) for finding in found if finding.kind == compare.MISSED]


def test_check_sees_a_race_whichever_thread_starts_first(judges):
    options = {**compare.CORPUS_OPTIONS, "executions": 2_000}
    for name in [name for _, name, fails in compare.corpus_programs(["functions_of_c"]) if fails]:
        said = judges[0].ask({"family": "functions_of_c", "name": name, "options": options, "reversed": True})
        assert said["verdict"] != "exhausted", name


@pytest.mark.parametrize("family", FREE)
def test_check_sees_all_values_that_a_program_returns(family, judges):
    options = {**compare.CORPUS_OPTIONS, "executions": 2_000, "strategy": "dpor"}
    names = [name for _, name, _ in compare.corpus_programs([family])]
    found = [compare.judge({"family": family, "name": name}, name, 40, *judges, options) for name in names]
    assert not [str(finding) for finding in found if finding.kind == compare.MISSED]
    exhausted = [finding for finding in found if finding.kind == "exhausted"]
    assert len(exhausted) > 0.8 * len(found)


def test_check_exhausts_no_random_program_whose_outcomes_it_has_not_all_seen(judges):
    options = {**compare.OPTIONS, "executions": 500}
    found = [compare.generated(seed, 60, *judges, options) for seed in range(1, 31)]
    assert not [str(finding) for finding in found if finding.kind == compare.MISSED]
