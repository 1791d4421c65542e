"""The commands of `python -m raddle`."""

import argparse
import platform

from raddle import _raddle

RUN = """\
Runs a Python program as python itself would, with the package's locks, queues and pools in the place of the standard
library's, and with the watch:

  - A deadlock is reported on standard error: each thread, the lock that it waits for, the thread that holds it, and the lines.
    Then the program ends with status 101.
  - SIGQUIT (Ctrl-\\ in a terminal) writes the stack of each thread, what it waits for, and the locks that it holds.
  - Locks that are acquired in contradictory orders are reported, although no thread is blocked yet.

The environment variable RADDLE_WATCH overrides the options; RADDLE_WATCH=0 turns the watch off."""


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


def _seconds(text):
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds
