"""`python -m raddle run`: programs behave as under python itself."""

import re
import zipfile

import pytest
from programs import execute, run


def both(*arguments, cwd):
    """The results of `python ARGUMENTS` and of `python -m raddle run ARGUMENTS`."""
    return execute(*arguments, cwd=cwd), run(*arguments, cwd=cwd)


PROBE = '''\
import os, sys
main = sys.modules["__main__"]
print(__name__, __file__ if "__file__" in globals() else None, __package__, __spec__ and __spec__.name)
print(sys.argv, sys.path[0], main.__dict__ is globals(), type(__loader__).__name__, __builtins__.__name__)
print(sorted(name for name in globals() if name not in ("__annotate__", "__conditional_annotations__")))
'''


@pytest.mark.parametrize(
    "arguments",
    [
        ["program.py", "-m", "--flag", "x"],
        ["-m", "program", "--help"],
        ["-m", "package", "1"],
        ["folder"],
        ["archive.zip", "a"],
    ],
)
def test_program_finds_the_names_that_python_gives_it(program, tmp_path, arguments):
    program(PROBE)
    program(PROBE, "package/__main__.py")
    program("", "package/__init__.py")
    program(PROBE, "folder/__main__.py")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", PROBE)
    plain, under = both(*arguments, cwd=tmp_path)
    assert plain[0] == 0 and plain == under


def test_text_finds_the_names_that_python_gives_it(tmp_path):
    # `python -c` has the loader as a class, and no `__file__`.
    plain, under = both("-c", PROBE, "-x", "y", cwd=tmp_path)
    assert plain[0] == 0 and plain == under


def test_isolated_program_has_no_folder_of_its_own_on_its_path(program):
    path = program("import sys; print(sys.path)")
    plain = execute("-I", path)
    under = execute("-I", "-m", "raddle", "run", path)
    assert plain[0] == 0 and plain == under


ENDS = {
    "returns": "print('done')",
    "exits with a status": "import sys; sys.exit(3)",
    "exits with a text": "import sys; sys.exit('failed')",
    "raises": "def f():\n    1 / 0\nf()",
    "raises from another exception": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError from error",
    "is not valid": "def f(:\n    pass",
    "imports what is not there": "import there_is_no_such_module",
    "has a hook": "import sys\nsys.excepthook = lambda kind, value, traceback: print(kind, traceback.tb_frame.f_code.co_filename)\n1 / 0",
    "raises in a thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\nt.start()\nt.join()",
    "raises after a thread was started": """
        import threading
        threading.Thread(target=lambda: print("the thread finishes")).start()
        raise ValueError""",
    "has exit handlers": "import atexit; atexit.register(print, 'last'); print('first')",
    "is interrupted": "raise KeyboardInterrupt",
    "prints what it has buffered": "print('no newline', end='')",
}


@pytest.mark.parametrize("name", ENDS)
def test_program_ends_as_under_python(program, tmp_path, name):
    path = program(ENDS[name])
    plain, under = both(path, cwd=tmp_path)
    hide = lambda text: re.sub(r'  File ".*(threading|raddle/\w+)\.py", line .*\n(    .*\n)*', "", text)  # noqa: E731
    assert plain[:2] == under[:2]
    assert hide(plain[2]) == hide(under[2])


@pytest.mark.parametrize("arguments", [["there_is_no_such_file.py"], ["-m", "there_is_no_such_module"], ["."]])
def test_missing_program_is_one_clear_line(tmp_path, arguments):
    plain, (status, out, err) = both(*arguments, cwd=tmp_path)
    assert (status, out) == (plain[0], "")
    assert err.startswith("python -m raddle run: ") and err.count("\n") == 1


def test_version_and_help():
    status, out, err = execute("-m", "raddle", "--version")
    assert (status, err) == (0, "") and re.fullmatch(r"raddle \d+\.\d+\.\d+\S* on \w+ 3\.\d+\.\S+\n", out)
    for arguments in ([], ["--help"], ["run", "--help"]):
        status, out, err = execute("-m", "raddle", *arguments)
        assert (status, err) == (0, "") and out.startswith("usage: python -m raddle")
