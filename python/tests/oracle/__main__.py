"""The command line of the oracle: see `python -m oracle --help`."""

import argparse
import functools
import json
import os
import pathlib
import sys

from . import compare, generate, workers


def main():
    parser = argparse.ArgumentParser("python -m oracle", description="Compares raddle.check with an explorer that switches threads anywhere.")
    parser.add_argument("--programs", type=int, default=200, help="number of random programs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first one; program N is the same everywhere")
    parser.add_argument("--executions", type=int, default=150, help="schedules that the oracle tries of each")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes of each kind")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has raddle installed")
    parser.add_argument("--corpus", nargs="*", metavar="FAMILY", help="judge the hand-written programs instead, or some families of them")
    parser.add_argument("--log", type=pathlib.Path, help="file of all verdicts; seeds that are in it are skipped")
    parser.add_argument("--show", type=int, metavar="SEED", help="print the program of a seed")
    parser.add_argument("--reduce", metavar="SEED", help="drop lines of a program on which the judges disagree: a seed, or a file with a source")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("worker").add_argument("side", choices=["explore", "check"])
    options = parser.parse_args()
    if options.command == "worker":
        return workers.serve(options.side)
    if options.show is not None:
        return print(generate.program(options.show)[0])
    if options.reduce is not None:
        check, explore = workers.Worker("check", options.python), workers.Worker("explore", options.python)
        given = options.reduce
        source = generate.program(int(given))[0] if given.isdigit() else pathlib.Path(given).read_text()
        text, finding = compare.reduce({"source": source}, options.executions, check, explore)
        check.close()
        explore.close()
        return print(text, finding, sep="\n")

    done = set()
    if options.log and options.log.exists():
        done = {json.loads(line)[0].split()[1] for line in options.log.read_text().splitlines() if json.loads(line)[0].startswith("seed ")}
    log = options.log.open("a") if options.log else None
    summary = compare.Summary(log)
    if options.corpus is not None:
        programs = compare.corpus_programs(options.corpus)
        tasks = [functools.partial(lambda program, check, explore: compare.of_corpus(*program, check, explore), program) for program in programs]
    else:
        seeds = [seed for seed in range(options.seed, options.seed + options.programs) if str(seed) not in done]
        tasks = [functools.partial(compare.generated, seed, options.executions) for seed in seeds]
    compare.run(tasks, options.jobs, summary, options.python)
    print(summary.why_inconclusive())
    print(summary)
    return sum(count for kind, count in summary.counts.items() if kind in (compare.MISSED, compare.BROKEN))


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
