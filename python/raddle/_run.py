"""Runs a program as the interpreter itself would, with the package's names installed and SIGQUIT answered."""

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
import types
import zipfile

from raddle import _install, _raddle


def run(kind, program, arguments):
    """Runs a script, a module or a text as `__main__`."""
    _install.install()
    _answer_sigquit()
    with _Hidden():
        names, code = {"script": _script, "module": _module, "command": _command}[kind](program, arguments)
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        if sys.version_info >= (3, 15):
            names.pop("__cached__", None)
        vars(main).update(names, __builtins__=builtins)
        if sys.version_info < (3, 14):
            main.__annotations__ = {}
        exec(code(), vars(main))


def _script(path, arguments):
    """Returns the names of `__main__` and a function that returns its code, for a file, or a directory or archive with one."""
    sys.argv[:] = [path, *arguments]
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        _set_first_on_path(os.path.abspath(path))
        return _details(runpy._get_main_module_details)
    file = os.path.abspath(path)
    try:
        with io.open_code(file) as source:
            text = source.read()
    except OSError as error:
        _refuse(f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}", 2)
    if not sys.flags.safe_path:
        _set_first_on_path(os.path.dirname(os.path.realpath(path)))
    names = {
        "__file__": file,
        "__cached__": None,
        "__loader__": importlib.machinery.SourceFileLoader("__main__", file),
        "__package__": None,
        "__spec__": None,
    }
    return names, lambda: pkgutil.read_code(io.BytesIO(text)) or compile(text, file, "exec", dont_inherit=True)


def _module(name, arguments):
    sys.argv[:] = ["-m", *arguments]
    names, code = _details(lambda error: runpy._get_module_details(name, error))
    sys.argv[0] = names["__file__"]
    return names, code


def _command(text, arguments):
    sys.argv[:] = ["-c", *arguments]
    if not sys.flags.safe_path:
        _set_first_on_path("")
    names = {"__loader__": importlib.machinery.BuiltinImporter, "__package__": None, "__spec__": None}
    return names, lambda: compile(text, "<string>", "exec", dont_inherit=True)


class _NotFound(Exception):
    """There is no such module."""


def _details(find):
    try:
        _, spec, code = find(_NotFound)
    except _NotFound as error:
        _refuse(error, 1)
    names = {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }
    return names, lambda: code


def _set_first_on_path(folder):
    if sys.flags.safe_path:  # `-m` has put nothing there
        sys.path.insert(0, folder)
    else:
        sys.path[0] = folder


def _refuse(message, status):
    print(f"python -m raddle run: {message}", file=sys.stderr)
    sys.exit(status)


class _Hidden:
    """Leaves the frames of this package out of the traceback of an exception that ends the program."""

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if error is None or isinstance(error, SystemExit):
            return
        while traceback is not None and _is_own(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        hook = sys.excepthook

        def show(kind, value, all_frames):
            sys.excepthook = hook
            if value is not error:
                return hook(kind, value, all_frames)
            return hook(kind, value.with_traceback(traceback), traceback)

        sys.excepthook = show


def _is_own(file):
    return file == __file__ or file == runpy.__file__ or file.startswith("<frozen ")


def _answer_sigquit():
    try:
        _raddle.dump_on_sigquit()
    except OSError:
        pass  # no thread can be started: the program runs without dumps
