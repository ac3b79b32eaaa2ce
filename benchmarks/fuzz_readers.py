"""Broken files by the ten thousand: every reader must refuse in one line, or give an answer.

    python benchmarks/fuzz_readers.py --inputs 2000 --folder fuzz
    python benchmarks/fuzz_readers.py --inputs 5000 --seconds 60 --folder fuzz
    python benchmarks/fuzz_readers.py --inputs 500 --folder fuzz --reader run --reader checkpoint

The readers are those of `tests/helpers/readers.py`; each input is one good file with one or two changes
(`tests/helpers/mutations.py`), chosen by the seed. Every reader has its own process; one that dies or hangs
is counted and started again after that input. Prints a row per reader, then failures with the seed
that repeats them; exit code 1 where there is one.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
HARD_LIMIT_S = 60.0
"""A process without output for this time, s, is killed: it hangs in compiled code."""

BAD = ("exception", "not one line", "silent", "too slow", "crash", "memory")
MEMORY_MIB = 1024.0
"""Limit on the increase of memory by one changed file of less than a megabyte."""


def main() -> int:
    """Run all readers one after another, and print what was counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1000, help="broken files a reader")
    parser.add_argument("--seconds", type=float, default=1e9, help="go on to the next reader after this long")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder, kept")
    parser.add_argument("--reader", action="append", help="only this one (repeatable)")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds an input may take")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("RIDGEBAYES_CACHE", str(options.folder.absolute() / "cache"))
    if options.worker:
        return work(options)
    from tests.helpers.readers import MAKERS

    total, failures = collections.Counter(), []
    print(
        f"{'reader':<18} {'inputs':>7} {'read':>6} {'refused':>7} {'bad':>4} {'slowest s':>9} {'most MiB':>8}"
    )
    for name in options.reader or MAKERS:
        counts, worst, bad = run_reader(name, options)
        total += counts
        failures += bad
        row = (sum(counts.values()), counts["read"], counts["refused"], sum(counts[k] for k in BAD))
        print("{:<18} {:>7} {:>6} {:>7} {:>4} {:>9.2f} {:>8.0f}".format(name, *row, *worst), flush=True)
    print(f"{sum(total.values())} inputs: " + ", ".join(f"{n} {kind}" for kind, n in total.most_common()))
    seen = collections.Counter()
    for name, seed, kind, file, how, what in failures:
        seen[name, kind, what[:60]] += 1
        if seen[name, kind, what[:60]] <= 3:
            print(f"{name} seed {seed} ({file}: {how}): {kind}: {what[:300]!r}")
    return 1 if failures else 0


def run_reader(name: str, options: argparse.Namespace) -> tuple:
    """Count the outcomes of the inputs of one reader; restart its process when it dies."""
    counts, worst, bad = collections.Counter(), [0.0, 0.0], []
    seed, last = options.first, options.first + options.inputs
    started = 0.0
    while seed < last:
        for line in lines_of(name, seed, last - seed, options):
            if line is None:
                break
            started = started or time.monotonic()
            if time.monotonic() - started > options.seconds:
                last = seed
                break
            seed, kind, file, how, what, seconds, grown = line
            if grown > MEMORY_MIB:
                kind, what = "memory", f"{grown:.0f} MiB more"
            counts[kind] += 1
            worst = [max(worst[0], seconds), max(worst[1], grown)]
            if kind in BAD:
                bad.append((name, seed, kind, file, how, what))
            seed += 1
        if seed < last:
            counts["crash"] += 1
            bad.append((name, seed, "crash", "", "", "the process died or hung"))
            seed += 1
    return counts, worst, bad


def lines_of(name: str, first: int, inputs: int, options: argparse.Namespace):
    """Yield the output of the process of a reader; None if it hangs or died early."""
    command = [sys.executable, __file__, "--worker", "--reader", name, "--first", str(first)]
    command += ["--inputs", str(inputs), "--folder", str(options.folder), "--limit", str(options.limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said: queue.Queue = queue.Queue()

    def listen():
        for line in process.stdout:
            said.put(line)
        said.put(None)

    threading.Thread(target=listen, daemon=True).start()
    patience = 600.0  # time for making the valid files and for compiling
    try:
        while True:
            line = said.get(timeout=patience)
            if line is None:
                break
            yield json.loads(line)
            patience = HARD_LIMIT_S
        if process.wait() != 0:
            yield None
    except queue.Empty:
        yield None
    finally:
        process.kill()
        process.wait()


def work(options: argparse.Namespace) -> int:
    """Try the inputs of one reader; print a line of JSON for each."""
    from tests.helpers.readers import encoded, make
    from tests.helpers.trying import attempt

    said, sys.stdout = sys.stdout, sys.stderr
    reader = make(options.reader[0], options.folder)
    right = encoded(reader.answer(reader.read(reader.folder)))
    for seed in range(options.first, options.first + options.inputs):
        out = attempt(reader, seed, right, options.limit)
        print(
            json.dumps([seed, out.kind, out.file, out.how, out.what, out.seconds, out.grown]),
            file=said, flush=True,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    start = time.monotonic()
    code = main()
    if "--worker" not in sys.argv:
        print(f"{time.monotonic() - start:.0f} s")
    sys.exit(code)
