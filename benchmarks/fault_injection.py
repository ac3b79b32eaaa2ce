"""Commands that are killed, find the disk full or read-only, meet each other: what is lost or half written.

    python benchmarks/fault_injection.py --folder faults
    python benchmarks/fault_injection.py --folder faults --part fit --moments 20

Every command is first run undisturbed on a small simulated mission. Then it is run again and again, each
time into a folder that holds older files of the same names, and stopped at another of its file operations
(each `open` for writing, rename, removal and new folder that Python reports), or at some time in between.
After each fault every file must be the old one or the new one, byte for byte; a fit and a campaign of event
lists that go on must end with the undisturbed answer. A full disk and a read-only one are small tmpfs mounts,
for which one must be root; without, these parts are left out, and it says so. Exit code 1 where anything was
lost.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ridgebayes.inference import runner

sys.path.insert(0, str(Path(__file__).parents[1]))
OLD = b"older file\n"
AT = {"kill": "killed at a file operation", "full": "no space at a file operation"}
FIT = ("--chains", "2", "--warmup", "50", "--draws", "100", "--seed", "5", "--workers", "1", "--quiet")
_MADE = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MOVES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.truncate"}

counts: Counter[tuple[str, str]] = Counter()
"""(Part, outcome) → count."""

lost: list[str] = []
"""Descriptions of failures."""


# --- running a command with a fault


def command(
    *arguments: object,
    log: Path,
    at: int | None = None,
    fault: str = "kill",
    after_s: float | None = None,
    sign: int = signal.SIGKILL,
) -> tuple[int, int]:
    """Run a command in a forked process; return its exit code (minus the signal), and its file operations.

    Parameters
    ----------
    arguments
        Arguments of the command line.
    log
        File for its output.
    at, fault
        Stop it at this file operation: ``kill``, or ``full`` (the operation finds the disk full).
    after_s, sign
        Send this signal after this time, s.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(receive)
        _child([str(a) for a in arguments], log, at, fault, send)
    os.close(send)
    if after_s is not None:
        with contextlib.suppress(ProcessLookupError):
            time.sleep(after_s)
            os.kill(child, sign)
    with os.fdopen(receive, "rb") as pipe:
        operations = len(pipe.read())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers of a command that was killed
    return code, operations


def _child(arguments: list[str], log: Path, at: int | None, fault: str, send: int) -> None:
    seen = 0

    def hook(event: str, details: tuple) -> None:
        nonlocal seen
        if event not in _MOVES and not (event == "open" and (details[2] or 0) & _WRITES):
            return
        if event == "open" and str(details[0]).startswith("/dev/"):
            return
        os.write(send, b".")
        if seen == at and fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        if at is not None and seen > at and fault == "full" and event in ("open", "os.mkdir", "os.rename"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from ridgebayes.cli.main import main

    runner.CHECKPOINT_SECONDS = 0.0  # because the fit takes only seconds
    sys.addaudithook(hook)
    try:
        main(arguments)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        os._exit(99)
    os._exit(0)


# --- checks


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every visible file below a folder; of a report, without its date."""
    names = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {
        str(p.relative_to(folder)): _MADE.sub(b"", p.read_bytes()) if p.suffix == ".html" else p.read_bytes()
        for p in names
        if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    }


def judge(part: str, what: str, code: int, folder: Path, new: dict[str, bytes], log: Path) -> None:
    """Check that every file is the old or the new one, and commands that were not killed gave one line."""
    counts[part, what] += 1
    for name, content in contents(folder).items():
        dated = name.endswith(".html") and content.rstrip().endswith(b"</html>")
        if content not in (OLD, new.get(name)) and not dated:
            lost.append(f"{part}, {what}: {name} is neither the old nor the new file")
    if code >= 0:
        said = log.read_text(errors="replace")
        errors = [line for line in said.splitlines() if line.startswith("ridgebayes: ")]
        if code not in (0, 2) or "Traceback" in said or (code == 2 and len(errors) != 1):
            lost.append(f"{part}, {what}: exit code {code}: {said.strip()[-300:]}")


def fresh(folder: Path, names: dict[str, bytes] | tuple = ()) -> Path:
    """Empty a folder, and write older files with the given names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(OLD)
    return folder


def spread(total: int, most: int) -> list[int]:
    """Return up to `most` evenly spaced numbers below `total`."""
    return sorted({int(x) for x in np.linspace(0, total - 1, min(total, most))})


# --- the parts


def writers(base: Path) -> dict[str, Callable[[Path], tuple]]:
    """Commands that write tables and products: part → arguments for an output folder."""
    data, run = base / "data", base / "data" / "run"
    products = ("crab-history", "background-history", "residuals", "map", "flux", "longitude-profile")
    made: dict[str, Callable[[Path], tuple]] = {
        "simulate": lambda f: ("simulate", "--revolutions", 3, "--out", f / "a.fits", "--overwrite"),
        "simulate csv": lambda f: ("simulate", "--revolutions", 3, "--out", f / "a.csv", "--overwrite"),
        "convert": lambda f: ("convert", data / "rates.csv", "--mapping", data / "map.toml", "--out",
                              f / "a.fits", "--overwrite"),
        "append": lambda f: ("append", data / "one.fits", data / "two.fits", "--out", f / "a.fits",
                             "--overwrite"),
        "screen": lambda f: ("screen", data / "scws.fits", "--out", f / "a.parquet", "--overwrite"),
        "spectrum": lambda f: ("region-spectrum", run, "--region", "GB", "--out", f, "--overwrite"),
        "report": lambda f: ("report", run, "--out", f / "report.html", "--overwrite"),
    }  # fmt: skip
    for name in products:
        made[name] = lambda f, name=name: (name, run, "--out", f, "--overwrite")
    return made


def part_writers(base: Path, moments: int) -> None:
    """Stop each writing command at many of its file operations, and at times in between."""
    for name, arguments in writers(base).items():
        log = base / "log"
        start = time.monotonic()
        clean = fresh(base / "out")
        code, _ = command(*arguments(clean), log=log)
        seconds, new = time.monotonic() - start, contents(clean)
        if code != 0 or not new:
            print(
                f"{name}: does not run undisturbed (exit code {code}): {log.read_text()[-200:]}", flush=True
            )
            continue
        old = fresh(base / "out", new)
        operations = command(*arguments(old), log=log)[1]
        for at in spread(operations, moments):
            for fault in ("kill", "full"):
                folder = fresh(base / "out", new)
                code, _ = command(*arguments(folder), log=log, at=at, fault=fault)
                judge(name, AT[fault], code, folder, new, log)
        for share in spread(1000, max(moments // 3, 2)):
            folder = fresh(base / "out", new)
            code, _ = command(*arguments(folder), log=log, after_s=share / 1000 * seconds)
            judge(name, "killed at some time", code, folder, new, log)
        print(f"{name}: {operations} file operations, {len(new)} files, {seconds:.1f} s", flush=True)


def part_disk(base: Path) -> None:
    """Run each writing command on a disk that is too small, or read-only."""
    disk = base / "disk"
    disk.mkdir(exist_ok=True)
    for name, arguments in writers(base).items():
        clean, log = fresh(base / "out"), base / "log"
        command(*arguments(clean), log=log)
        new = contents(clean)
        size = sum(map(len, new.values()))
        for share in (0.02, 0.3, 0.6, 0.95):
            with mounted(disk, max(int(size * share), 8192)) as there:
                if not there:
                    print("full and read-only disks: left out, cannot mount", flush=True)
                    return
                code, _ = command(*arguments(disk), log=log)
                judge(name, "disk too small", code, disk, new, log)
        with mounted(disk, 2**20, read_only=True):
            code, _ = command(*arguments(disk), log=log)
            judge(name, "read-only disk", code, disk, new, log)
            if code != 2:
                lost.append(f"{name}, read-only disk: exit code {code}")
        print(f"{name}: full and read-only disks done", flush=True)


@contextlib.contextmanager
def mounted(place: Path, size: int, read_only: bool = False):
    """Mount a small tmpfs; yield True if that is possible."""
    options = f"size={size}" + (",ro" if read_only else "")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", place], check=True)


def part_rates(base: Path, moments: int) -> None:
    """Kill the measurement of event lists; the same command must resume and give the same table."""
    arguments = ("rates", base / "data" / "events", "--revolution-table", base / "data" / "revolutions.csv")
    log, folder = base / "log", fresh(base / "out")
    code, _ = command(*arguments, "--out", folder / "a.fits", log=log)
    new = contents(folder)
    assert code == 0, log.read_text()
    operations = command(*arguments, "--out", fresh(folder) / "a.fits", log=log)[1]
    for at in spread(operations, moments):
        for fault in ("kill", "full"):
            fresh(folder)
            code, _ = command(*arguments, "--out", folder / "a.fits", log=log, at=at, fault=fault)
            judge("rates", AT[fault], code, folder, new, log)
            code, _ = command(*arguments, "--out", folder / "a.fits", "--overwrite", log=log)
            if code != 0 or contents(folder)["a.fits"] != new["a.fits"]:
                lost.append(f"rates: went on to another table (exit code {code})")
            counts["rates", "went on to the same table"] += 1
    print(f"rates: {operations} file operations", flush=True)


def draws(run: Path) -> dict[str, np.ndarray]:
    """Return every draw of a run."""
    from ridgebayes.runs.run import Run

    posterior = Run.open(run).tree["posterior"].to_dataset()
    return {str(name): posterior[name].values for name in posterior.data_vars}


def go_on(part: str, what: str, base: Path, reference: dict[str, np.ndarray], code: int) -> None:
    """Resume a fit, or fit again without a checkpoint; the result must be that of an undisturbed fit."""
    run, log = base / "fit", base / "log"
    counts[part, what] += 1
    said = log.read_text(errors="replace")
    if code not in (0, 2, 130, -signal.SIGKILL) or "Traceback" in said:
        lost.append(f"{part}, {what}: exit code {code}: {said.strip()[-300:]}")
    if (run / "checkpoint" / "run.toml").exists():
        counts[part, "resumed"] += 1
        code, _ = command("resume", run, "--quiet", "--workers", "1", log=log)
    elif not (run / "run.toml").exists() and not (base / ".fit.complete").exists():
        counts[part, "nothing kept yet: fitted again"] += 1
        code, _ = command("fit", base / "data" / "scws.fits", *sky(base), *FIT, "--overwrite", "--out", run,
                          log=log)  # fmt: skip
    else:
        counts[part, "was complete"] += 1
        code = 0
    if code != 0:
        lost.append(f"{part}, {what}: did not go on: {log.read_text()[-300:]}")
        return
    same(part, what, run, reference)


def same(part: str, what: str, run: Path, reference: dict[str, np.ndarray]) -> None:
    """Compare every draw, bit for bit."""
    found = draws(run)
    if any(not np.array_equal(found[name], value) for name, value in reference.items()):
        lost.append(f"{part}, {what}: another posterior")
    else:
        counts[part, "the same posterior, bit for bit"] += 1


def sky(base: Path) -> tuple:
    """Return the option of the small sky."""
    return "--sky", base / "data" / "sky.toml"


def part_fit(base: Path, moments: int) -> None:
    """Stop a fit in many ways; after resuming, the result must be that of an undisturbed fit."""
    log, run = base / "log", base / "fit"
    arguments = ("fit", base / "data" / "scws.fits", *sky(base), *FIT, "--out", run)
    reference = draws(base / "data" / "run")
    fresh(base / "fit").rmdir()
    start = time.monotonic()
    operations = command(*arguments, log=log)[1]
    seconds = time.monotonic() - start
    same("fit", "undisturbed", run, reference)
    print(f"fit: {operations} file operations, {seconds:.0f} s", flush=True)
    for at in spread(operations, moments):
        for fault in ("kill", "full"):
            shutil.rmtree(run, ignore_errors=True)
            shutil.rmtree(base / ".fit.complete", ignore_errors=True)
            code, _ = command(*arguments, log=log, at=at, fault=fault)
            go_on("fit", AT[fault], base, reference, code)
        print(f"fit: stopped at file operation {at} of {operations}", flush=True)
    for share in spread(1000, max(moments // 2, 2)):
        for sign, what in ((signal.SIGKILL, "killed at some time"), (signal.SIGINT, "Ctrl-C at some time")):
            shutil.rmtree(run, ignore_errors=True)
            code, _ = command(*arguments, log=log, after_s=(0.1 + 0.0009 * share) * seconds, sign=sign)
            go_on("fit", what, base, reference, code)
    # Two concurrent fits: the second is refused, the first is not disturbed.
    shutil.rmtree(run, ignore_errors=True)
    first = os.fork()
    if first == 0:
        os._exit(command(*arguments, log=base / "log1")[0])
    while not (run / "checkpoint" / "lock").exists():
        time.sleep(0.05)
    for extra in ((), ("--overwrite",)):
        code, _ = command(*arguments, *extra, log=log)
        counts["fit", "a second one into the same folder: refused"] += 1
        if code != 2:
            lost.append(f"fit: a second one into the same folder was not refused: exit code {code}")
    os.waitpid(first, 0)
    same("fit", "with a second one", run, reference)


def part_network(base: Path) -> None:
    """Run commands in a namespace without network; the files must be the same."""
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        print("no network: left out, cannot make a namespace", flush=True)
        return
    for name, arguments in writers(base).items():
        clean = fresh(base / "out")
        command(*arguments(clean), log=base / "log")
        new, folder = contents(clean), fresh(base / "out")
        program = [
            sys.executable,
            "-c",
            "from ridgebayes.cli.main import main; main()",
            *map(str, arguments(folder)),
        ]
        done = subprocess.run(["unshare", "-n", *program], capture_output=True, text=True)
        counts[name, "no network"] += 1
        if done.returncode or contents(folder) != new:
            lost.append(f"{name}, no network: exit code {done.returncode}: {done.stderr[-300:]}")


def prepare(base: Path) -> None:
    """Make the small simulated mission, its fit, event lists, and tables to convert."""
    data = base / "data"
    if (data / "ready").exists():
        return
    fresh(data)
    program = [sys.executable, __file__, "--folder", str(base), "--prepare"]
    subprocess.run(program, check=True)  # in a separate process, because JAX must not run when this one forks
    (data / "ready").touch()


def make_data(base: Path) -> None:
    """Do the work of `prepare`."""
    from ridgebayes import read_scws, write_scws
    from ridgebayes.convert import BandColumns, Mapping, dump_mapping
    from tests.helpers.event_maker import SCW, make_events, write_events
    from tests.helpers.readers import tiny_mission

    data = base / "data"
    _, scws = tiny_mission()
    write_scws(scws, data / "scws.fits")
    half = scws.revolution < np.median(scws.revolution)
    write_scws(scws.select(half), data / "one.fits")
    write_scws(scws.select(~half), data / "two.fits")
    flat = scws.to_table(vectors=False)
    flat.write(data / "rates.csv", format="ascii.csv")
    bands = tuple(BandColumns(b.name, b.e_min, b.e_max) for b in scws.bands)
    units = {"RA": "deg", "DEC": "deg", "ROLL": "deg", "EXPOSURE": "s"}
    rates = {name: "ct/s" for name in flat.colnames if name.startswith(("RATE", "STAT_ERR", "TRACER"))}
    mapping = Mapping(bands=bands, units=units | rates, system="mjd", scale="tt", simulated=True)
    (data / "map.toml").write_text(dump_mapping(mapping))
    cell = 'lon = [{}, {}]\nshape = {{kind = "sech2", scale = 2.0}}\n'
    names = {"L-20": (-30, -10), "GB": (-10, 10), "L+20": (10, 30)}
    (data / "sky.toml").write_text(
        "".join(f'[[region]]\nname = "{n}"\n{cell.format(*lon)}\n' for n, lon in names.items())
    )
    (data / "events").mkdir()
    for k in range(3):
        scw_id = f"{SCW[:7]}{k + 1}0010"
        drawn = make_events(np.random.default_rng(k), 70.0)
        write_events(data / "events" / f"isgri_events_{k}.fits", drawn, scw_id=scw_id)
    (data / "revolutions.csv").write_text("REVOL,START,PERIOD\n2559,59863.0,2.66\n")
    assert len(read_scws(data / "scws.fits")) == len(scws)
    code, _ = command("fit", data / "scws.fits", *sky(base), *FIT, "--out", data / "run", log=base / "log")
    assert code == 0, (base / "log").read_text()


def main() -> int:
    """Run the parts, and print what was counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder")
    parser.add_argument("--moments", type=int, default=12, help="moments at which a command is stopped")
    parser.add_argument("--part", action="append", choices=["writers", "disk", "rates", "fit", "network"])
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    base = options.folder.absolute()
    base.mkdir(parents=True, exist_ok=True)
    os.environ["RIDGEBAYES_CACHE"] = str(base / "cache")
    if options.prepare:
        make_data(base)
        return 0
    prepare(base)
    parts = {"writers": lambda: part_writers(base, options.moments), "disk": lambda: part_disk(base)}
    parts |= {"rates": lambda: part_rates(base, options.moments), "network": lambda: part_network(base)}
    parts |= {"fit": lambda: part_fit(base, options.moments)}
    # Import before forking, so that children start faster. These modules do not start JAX: a fork loses its
    # threads, and a child that needs them would hang. `models` would start it, by their priors.
    for module in ("astropy.table", "matplotlib.figure", "numpyro", "ridgebayes.cli", "ridgebayes.runs.run"):
        importlib.import_module(module)

    warnings.filterwarnings("ignore", message="os.fork")
    for name in options.part or parts:
        parts[name]()
    print(f"\n{'part':<14} {'fault':<44} {'times':>5}")
    for (part, what), n in sorted(counts.items()):
        print(f"{part:<14} {what:<44} {n:>5}")
    print(f"{len(lost)} lost")
    for line in dict.fromkeys(lost):
        print(f"LOST {line} ({lost.count(line)} times)")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
