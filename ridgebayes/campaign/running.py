"""A campaign in its folder: run remaining fits, and tabulate the results."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from astropy.table import QTable

from ridgebayes.campaign.measure import Measure, labels
from ridgebayes.campaign.plan import GROWS, Case, Plan, plan_of
from ridgebayes.campaign.summary import markdown, summary
from ridgebayes.errors import InputError, command
from ridgebayes.inference.progress import tqdm, wanted
from ridgebayes.io.ledger import Ledger, read_lines, read_record
from ridgebayes.io.product_tables import write_ecsv
from ridgebayes.parallel.scheduler import Scheduler
from ridgebayes.parallel.software import check_same, software
from ridgebayes.parallel.tasks import run

RECORD, TABLE, SUMMARY = "campaign.toml", "fits.jsonl", "summary.ecsv"


@dataclass(frozen=True)
class Campaign:
    """Results of a campaign so far.

    Attributes
    ----------
    plan
        Plan of the campaign.
    results
        One row per finished fit, in the order of the plan (see `ridgebayes.campaign.measure.Measure`).
    """

    plan: Plan
    results: tuple[dict[str, Any], ...]

    @cached_property
    def table(self) -> QTable:
        """Bias, scatter, coverage, convergence and time (see `ridgebayes.campaign.summary.summary`)."""
        table = summary(self.results, self.plan.bands)
        table.meta = {
            "simulated": True,
            "revolutions": self.plan.revolutions,
            "regions": list(self.plan.compared),
            "bands": labels(self.plan.bands),
        }
        return table

    def __str__(self) -> str:
        return markdown(self.table)


def run_campaign(
    plan: Plan, out: str | Path, *, scheduler: str | None = None, progress: bool | None = None
) -> Campaign:
    """Simulate and fit all missions of a plan.

    Results in `out` are reused: a campaign that was stopped continues, and a plan may have more missions,
    worlds or fits than before.

    Parameters
    ----------
    plan
        Plan, for example from `ridgebayes.campaign.read_plan`.
    out
        Folder of the campaign.
    scheduler
        Where fits run: ``"local"`` (the default), a process on every core of this machine; ``"local:4"``,
        four processes; or the address of a Dask scheduler.
    progress
        Show a progress bar on stderr; by default in a terminal and in a notebook.

    Raises
    ------
    InputError
        If `out` contains another campaign, or one of other versions of the software.
    """
    out, place, cases = Path(out), Scheduler.of(scheduler), plan.checked().cases()
    versions = software()
    record = {"ridgebayes": versions.pop("ridgebayes"), "versions": versions, "plan": plan.recorded()}
    ledger = Ledger(out, RECORD, TABLE, record, lambda then: _refuse_other(then, plan, out))
    try:
        done = _done(out)
        left = [case for case in cases if case not in done]
        pace = 0.2 if sys.stderr.isatty() else 30.0
        kept = len(cases) - len(left)
        with tqdm(
            total=len(cases),
            initial=kept,
            disable=not wanted(progress),
            desc="fits",
            unit="fit",
            mininterval=pace,
        ) as bar:
            for _, row in run(Measure(plan), left, place):
                ledger.add(row)
                kept += 1
                bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {kept} fits are kept in {out}: run it again to go on") from None
    finally:
        ledger.close()
    found = open_campaign(out)
    write_ecsv(found.table, out / SUMMARY)
    return found


def open_campaign(out: str | Path) -> Campaign:
    """Read the results of a campaign so far; it may still be running.

    Raises
    ------
    InputError
        If the folder has no campaign, or no fit has finished.
    """
    out = Path(out)
    record = read_record(out, RECORD, command("campaign", "FILE.toml", "--out", out))
    plan, done = plan_of(record["plan"]), _done(out)
    if not done:
        raise InputError(f"{out}: no fit has ended yet: wait, or run it again to go on")
    return Campaign(plan, tuple(done[case] for case in plan.cases() if case in done))


def _done(out: Path) -> dict[Case, dict[str, Any]]:
    return {Case(*(row[name] for name in Case._fields)): row for row in read_lines(out / TABLE)}


def _refuse_other(then: dict[str, Any], plan: Plan, out: Path) -> bool:
    """Raise if the fits of a folder differ from the plan; return True if the plan has additional ones."""
    old, new = then["plan"], plan.recorded()
    for name in dict.fromkeys((*old, *new)):
        if name not in GROWS and old.get(name) != new.get(name):
            raise InputError(
                f"{out}: holds a campaign with {name} = {old.get(name)!r}, and this has {new.get(name)!r}: "
                "give another folder"
            )
    check_same(then, out, "give another folder")
    return old != new
