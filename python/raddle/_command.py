"""The commands of `python -m raddle`."""

import argparse
import importlib.util
import inspect
import os
import platform
import sys

from raddle import _raddle

RUN = """\
Runs a Python program as python itself would, with the package's locks, queues and pools in the place of the standard
library's, and with the watch:

  - A deadlock is reported on standard error: each thread, the lock that it waits for, the thread that holds it, and the lines.
    Then the program ends with status 101.
  - SIGQUIT (Ctrl-\\ in a terminal) writes the stack of each thread, what it waits for, and the locks that it holds.
  - Locks that are acquired in contradictory orders are reported, although no thread is blocked yet.

The environment variable RADDLE_WATCH overrides the options; RADDLE_WATCH=0 turns the watch off."""

CHECK = """\
Runs a function of a file, which takes no arguments and starts threads, under every schedule that matters. The status is 0 if no
schedule fails, 1 if one does (its report is printed), 2 if the command is wrong, and 3 if the limits did not allow all of them."""


def parser():
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m raddle", description="Python's threading toolkit on raddle.")
    version = f"raddle {_raddle.__version__} on {platform.python_implementation()} {platform.python_version()}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", metavar="command")

    run = commands.add_parser(
        "run",
        help="run a program, with reports of its deadlocks",
        description=RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python -m raddle run [options] (script | -m module | -c command) [argument ...]",
    )
    kind = run.add_mutually_exclusive_group()
    kind.add_argument("-m", dest="kind", action="store_const", const="module", help="run a module, like python -m")
    kind.add_argument("-c", dest="kind", action="store_const", const="command", help="run a text, like python -c")
    run.add_argument(
        "--on-deadlock",
        choices=("end", "raise", "report"),
        default="end",
        help="after the report of a deadlock: end the program (default), raise RuntimeError in one of the threads, or nothing",
    )
    run.add_argument(
        "--suspect-after",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long threads wait for each other before a deadlock that is not certain is reported (default: 10)",
    )
    run.add_argument("--no-lock-order", action="store_true", help="do not report contradictory lock orders")
    run.add_argument("program", metavar="script", help=argparse.SUPPRESS)
    run.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    run.set_defaults(call=_run)

    check = commands.add_parser(
        "check",
        help="run a function under every schedule of its threads that matters",
        description=CHECK,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("target", metavar="FILE::FUNCTION")
    check.add_argument("--executions", type=int, default=20_000, metavar="N", help="the limit (default: 20000)")
    check.add_argument("--seconds", type=_seconds, default=60.0, help="the limit (default: 60)")
    check.add_argument("--grain", choices=("free", "gil"), default="free", help="where threads are switched (default: free)")
    check.add_argument("--replay", metavar="TOKEN", help="run the schedule of a report instead")
    check.add_argument("--report", metavar="DIRECTORY", help="write the report there as a page to step through, and as JSON")
    check.set_defaults(call=_check)
    return parser


def main(arguments):
    """Executes a command line."""
    options = parser().parse_args(arguments)
    if "call" not in options:
        parser().print_help()
        return
    options.call(options)


def _run(options):
    from raddle import _run

    _raddle.watch_start(options.on_deadlock, not options.no_lock_order, options.suspect_after)
    _run.run(options.kind or "script", options.program, options.arguments)


def _check(options):
    import raddle

    path, separator, name = options.target.partition("::")
    if not separator or not os.path.isfile(path):
        _refuse(f"{options.target!r} names no function of a file: use FILE::FUNCTION")
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    module = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(module, path)
    sys.modules[module] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[module])
    function = getattr(sys.modules[module], name, None)
    if not callable(function):
        _refuse(f"there is no function {name!r} in {path}")
    limits = {"executions": options.executions, "seconds": options.seconds}
    try:
        outcome = raddle.outcome_of(inspect.unwrap(function), grain=options.grain, replay=options.replay, **limits)
    except (ValueError, raddle.UnsupportedInterpreter) as error:
        _refuse(error)
    print(str(outcome).rstrip())
    if isinstance(outcome, raddle.Failed) and options.report:
        os.makedirs(options.report, exist_ok=True)
        for extension, text in ((".html", outcome.html), (".json", outcome.json)):
            with open(os.path.join(options.report, name + extension), "w", encoding="utf-8") as file:
                file.write(text)
    sys.exit(1 if isinstance(outcome, raddle.Failed) else 3 if isinstance(outcome, raddle.Inconclusive) else 0)


def _refuse(message):
    print(f"python -m raddle check: {message}", file=sys.stderr)
    sys.exit(2)


def _seconds(text):
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds
