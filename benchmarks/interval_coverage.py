"""Are intervals right: missions of many worlds fitted with default settings, and the truth beside the fit.

    python benchmarks/interval_coverage.py --world clean --world shared_noise --out coverage.ecsv
    python benchmarks/interval_coverage.py --out coverage.ecsv --summary

Measured is the FOV flux at four positions, in each band and in sums and differences of two bands: by the
posterior, by the draws calibrated by revolution, and by the classical estimate. Missions of one world differ
in their noise and revolution terms; the pointings are the same for all, so a model is compiled once. The
table has a row a fit and is written after each; fits that it holds are not done again.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import click
import jax
import numpy as np
import xarray as xr
from astropy.table import Table, vstack
from scipy import stats

from ridgebayes import classical, models, sample, sample_auto, simulate, sky
from ridgebayes.checks.automatic import AUTO
from ridgebayes.errors import InputError, RidgeBayesWarning
from ridgebayes.io.atomic import whole_file
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.intensity import CALIBRATED, CI_PROB, summarise
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky
from ridgebayes.table.scw import Band, ScWTable

REGIONS = ("GB", "L+20", "L-20", "L+60")
CLEAN = "clean"
OUTLIERS = simulate.Outliers(fraction=0.01)  # the rest of a world has its default sizes
ESTIMATES = ("posterior", "calibrated", "classical")
NORMAL = stats.norm.ppf((1 + CI_PROB) / 2)  # half an interval of the classical estimate, in its errors


class Case(NamedTuple):
    """One fit.

    Attributes
    ----------
    world
        "clean", names of switches joined by "+", or "everything".
    model
        Name of a model.
    extras
        Names of extras joined by "+"; empty for none.
    seed
        Of the mission and of the fit.
    """

    world: str
    model: str
    extras: str
    seed: int


def world_of(name: str) -> simulate.World:
    """World of a name such as "clean" or "outliers+shared_noise"; outliers are 1 % of the ScWs."""
    world = simulate.World.on(*([] if name == CLEAN else name.split("+")))
    return world if world.outliers is None else replace(world, outliers=OUTLIERS)


def in_pairs(flux: xr.DataArray) -> xr.DataArray:
    """Add the sum and the difference of every two bands, along the axis of the bands."""
    pairs = list(combinations(flux["band"].values, 2))
    parts = [flux]
    for sign, number in (("+", 1.0), ("-", -1.0)):
        parts += [
            (flux.sel(band=a) + number * flux.sel(band=b)).assign_coords(band=f"{a}{sign}{b}")
            for a, b in pairs
        ]
    return xr.concat(parts, "band", coords="minimal", compat="override")


def measured(run: Run, regions: Sequence[str]) -> dict[str, np.ndarray]:
    """Compare FOV fluxes with the truth, by the posterior and by the calibrated draws.

    Returns
    -------
    dict
        For either estimate its error (mean − truth) and sd, mCrab, and whether the 94 % interval covers the
        truth: each (region, band), bands followed by sums and differences. NaN, and False, where a run is
        not calibrated.
    """
    true = run.tree["constant_data"].dataset["true_fov_flux"].sel(region=list(regions))
    true = in_pairs(true).transpose("region", "band")
    found = {}
    for name, group in (("posterior", "posterior"), ("calibrated", CALIBRATED)):
        if group in run.tree.children:
            flux = in_pairs(run.tree[group].dataset["sky.fov_flux"].sel(region=list(regions)))
            told = summarise(flux).transpose("region", "band")
            covered = (told["lo"] <= true) & (true <= told["hi"])
            values = ((told["mean"] - true).values, told["sd"].values, covered.values)
        else:
            values = nothing(true.shape)
        found |= dict(zip(columns(name), values, strict=True))
    return found


def measured_classically(scws: ScWTable, on: Sky, regions: Sequence[str]) -> dict[str, np.ndarray]:
    """Compare the classical estimate with the truth, as `measured`; errors of two bands are independent."""
    table = classical.fluxes(classical.calibrate(scws), on)
    shape = (len(on), len(scws.bands))
    rows = [on.names.index(name) for name in regions]
    coords = {"region": list(regions), "band": list(scws.band_names)}
    flux, error = (
        xr.DataArray(table[c].value.reshape(shape)[rows], coords, ("region", "band"))
        for c in ("flux", "error")
    )
    assert scws.truth is not None
    true = flux.copy(data=[scws.truth["fov"][name] for name in regions])
    off = in_pairs(flux - true).transpose("region", "band").values
    own = (error**2).values
    pairs = [own[:, a] + own[:, b] for a, b in combinations(range(shape[1]), 2)]
    sd = np.sqrt(np.column_stack([own, *pairs, *pairs]))
    return dict(zip(columns("classical"), (off, sd, np.abs(off) <= NORMAL * sd), strict=True))


def columns(estimate: str) -> tuple[str, str, str]:
    """Names of the columns of an estimate: error, sd, whether the interval covers."""
    return f"error_{estimate}", f"sd_{estimate}", f"covered_{estimate}"


def nothing(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool)


def one(
    case: Case,
    programme: ScWTable,
    on: Sky,
    *,
    regions: Sequence[str] = REGIONS,
    truth: simulate.Truth | None = None,
    with_classical: bool = True,
    **settings: object,
) -> dict[str, object]:
    """Simulate and fit one case.

    Parameters
    ----------
    case
        Which.
    programme
        Pointings.
    on
        The sky of the model.
    regions
        Names of its regions at which the FOV flux is compared.
    truth
        Of the mission; the simulator's own by default.
    with_classical
        Do the classical estimate too.
    **settings
        Of `ridgebayes.sample`; its defaults where not given.

    Returns
    -------
    dict
        A row of the table. Where the fit refuses, `note` says why and the measures are empty.
    """
    scws = simulate.mission(programme, truth, sky=on, world=world_of(case.world), seed=case.seed)
    names = list(filter(None, case.extras.split("+")))
    model = models.find(case.model)(on).with_extras(*(name for name in names if name != AUTO))
    row: dict[str, object] = case._asdict() | {"scws": len(scws)}
    begun, cpu = time.perf_counter(), time.process_time()
    shape = (len(regions), len(scws.bands) ** 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RidgeBayesWarning)  # the row says it
            fit = sample_auto if AUTO in names else sample
            run = fit(model, scws, seed=case.seed, progress=False, **settings)
        r_hat, bulk, tail = run.diagnosis.worst
        how = (r_hat, bulk, tail, run.diagnosis.divergences, all(run.converged.values()))
        note, values = "; ".join(run.diagnosis.warnings), measured(run, regions)
        if CALIBRATED not in run.tree.children:
            note = "; ".join(filter(None, [note, f"not calibrated: {run.record.get('calibration', '')}"]))
    except InputError as error:
        how, note = (np.nan, np.nan, np.nan, 0, False), f"no result: {error}"
        empty = nothing(shape)
        values = {n: v for e in ESTIMATES[:2] for n, v in zip(columns(e), empty, strict=True)}
    row |= dict(zip(("r_hat", "ess_bulk", "ess_tail", "divergences", "converged"), how, strict=True))
    row |= {
        "wall_s": round(time.perf_counter() - begun, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "note": note,
    }
    if with_classical:
        values |= measured_classically(scws, on, regions)
    else:
        values |= dict(zip(columns("classical"), nothing(shape), strict=True))
    return row | values


def summary(table: Table) -> str:
    """Table in Markdown: rms of (value − truth) / sd, and how many 94 % intervals hold the truth.

    A row for each world, model and estimate. In brackets the counts that are compatible with 94 % if all
    intervals were independent (95 % of a binomial distribution); those of one mission are not quite.
    """
    labels = [str(label) for label in table.meta["bands"]]
    single = [k for k, label in enumerate(labels) if not set(label) & set("+-")]
    groups = [
        *((labels[k], [k]) for k in single),
        ("sums", [k for k, label in enumerate(labels) if "+" in label]),
        ("differences", [k for k, label in enumerate(labels) if "-" in label]),
    ]
    groups = [group for group in groups if group[1]]
    head = ["world", "model", "missions", "estimate", *(f"rms z, {name}" for name, _ in groups)]
    head += [
        "bands covered",
        "sums and differences covered",
        "sd over the posterior's",
        "not converged",
        "CPU s",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    pairs = [k for k in range(len(labels)) if k not in single]
    kinds = list(dict.fromkeys(zip(table["world"], table["model"], table["extras"], strict=True)))
    for kind in kinds:
        world, model, extras = kind
        rows = table[[tuple(row[n] for n in ("world", "model", "extras")) == kind for row in table]]
        for estimate in ESTIMATES:
            error, sd, covered = (np.asarray(rows[name]) for name in columns(estimate))
            if not np.isfinite(sd).any():
                continue
            cells = [str(world), " + ".join(filter(None, [str(model), str(extras).replace("+", " + ")]))]
            cells += [str(int(np.isfinite(sd).any(axis=(1, 2)).sum())), estimate]
            cells += [f"{rms((error / sd)[:, :, k]):.2f}" for _, k in groups]
            cells += [hits(covered[:, :, k], np.isfinite(sd[:, :, k])) for k in (single, pairs)]
            cells.append(f"{np.nanmedian(sd / np.asarray(rows['sd_posterior'])):.2f}")
            of_fit = [str(int((~rows["converged"]).sum())), f"{np.median(rows['cpu_s']):.0f}"]
            cells += of_fit if estimate == ESTIMATES[0] else ["", ""]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rms(z: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(z**2)))


def hits(covered: np.ndarray, given: np.ndarray) -> str:
    """Count intervals that cover, of those that are given, with the range compatible with 94 %."""
    n = int(given.sum())
    if n == 0:
        return ""
    lo, hi = stats.binom(n, CI_PROB).ppf([0.025, 0.975])
    return f"{int(covered[given].sum())}/{n} ({lo:.0f} to {hi:.0f})"


def read(path: Path) -> Table | None:
    """Read a table; empty cells of text, which ECSV masks, are empty again."""
    return Table.read(path, format="ascii.ecsv").filled("") if path.exists() else None


def done(table: Table | None) -> set[Case]:
    """Cases that a table holds."""
    rows = [] if table is None else table
    return {Case(*(str(row[name]) for name in Case._fields[:3]), int(row["seed"])) for row in rows}


@click.command()
@click.option(
    "--world",
    "worlds",
    multiple=True,
    help='Such as outliers+transients [default: "clean", each switch, "everything"].',
)
@click.option("--model", "names", multiple=True, default=["regions"], show_default=True)
@click.option(
    "--extra", "extras", multiple=True, help="Extra of every model, repeatable; auto: those that help."
)
@click.option("--missions", default=10, show_default=True, help="Of each world.")
@click.option("--first-seed", default=1, show_default=True)
@click.option("--revolutions", default=200, show_default=True, help="200: some 13,000 ScWs.")
@click.option("--classical/--no-classical", "with_classical", default=True, show_default=True)
@click.option("--max-time", type=float, help="Minutes after which the chains of a fit stop.")
@click.option("--workers", type=int, help="Chains at a time [default: as many as cores].")
@click.option("--out", type=click.Path(path_type=Path), default=Path("coverage.ecsv"), show_default=True)
@click.option("--summary", "only_summary", is_flag=True, help="Only print the table of what was measured.")
def main(
    worlds: tuple[str, ...],
    names: tuple[str, ...],
    extras: tuple[str, ...],
    missions: int,
    first_seed: int,
    revolutions: int,
    with_classical: bool,
    max_time: float | None,
    workers: int | None,
    out: Path,
    only_summary: bool,
) -> None:
    """Fit missions of many worlds and print how often intervals hold the truth."""
    table = read(out)
    if not only_summary:
        logging.getLogger("ridgebayes").setLevel(logging.ERROR)
        use_compilation_cache()
        on = sky.load("milkyway")
        programme = simulate.programme(revolutions, stop=2740, seed=7)
        worlds = worlds or (CLEAN, *simulate.SWITCHES, simulate.EVERYTHING)
        if table is not None and table.meta["revolutions"] != revolutions:
            raise click.ClickException(f"{out}: holds missions of {table.meta['revolutions']} revolutions")
        seeds = range(first_seed, first_seed + missions)
        for seed, world, name in product(seeds, worlds, names):
            case = Case(world, name, "+".join(extras), seed)
            if case in done(table):
                continue
            row = one(case, programme, on, with_classical=with_classical, max_time=max_time, workers=workers)
            new = Table(rows=[row])
            table = new if table is None else vstack([table, new], metadata_conflicts="silent")
            table.meta = {
                "revolutions": revolutions,
                "regions": list(REGIONS),
                "bands": labels(simulate.BANDS),
            }
            with whole_file(out) as scratch:
                table.write(scratch, format="ascii.ecsv")
            jax.clear_caches()
            click.echo(
                "  ".join(f"{n} {row[n]}" for n in (*Case._fields, "r_hat", "ess_bulk", "wall_s", "note"))
            )
    if table is None:
        raise click.ClickException(f"{out}: no such file")
    click.echo(summary(table))


def labels(bands: Sequence[Band]) -> list[str]:
    """Names of bands, and of their sums and differences, in the order of `in_pairs`."""
    names = [band.name for band in bands]
    pairs = list(combinations(names, 2))
    return [*names, *(f"{a}+{b}" for a, b in pairs), *(f"{a}-{b}" for a, b in pairs)]


if __name__ == "__main__":
    main()
