"""``ridgebayes bench``: what a fit costs on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import FILE, programme_option
from ridgebayes.cli.ending import say_next, say_written


@click.command(short_help="Measure time and memory on missions of growing size")
@click.option("--full", is_flag=True, help="The whole grid, hours on two cores [default: a minute or two].")
@click.option("--n-scws", multiple=True, type=int, help="Only missions of about so many ScWs (repeatable).")
@click.option("--n-regions", multiple=True, type=int, help="Only so many sky regions (repeatable).")
@click.option("--n-bands", multiple=True, type=int, help="Only so many bands (repeatable).")
@click.option(
    "--case",
    "chosen",
    multiple=True,
    metavar="SCWS,REGIONS,BANDS",
    help="This case, in place of a grid (repeatable).",
)
@click.option("--demo", is_flag=True, help="Measure `ridgebayes demo` too, from an empty cache and again.")
@click.option("--again", is_flag=True, help="Fit each a second time, with what is compiled already.")
@programme_option
@click.option("--chains", type=int, help="Chains of each fit [default: as fit].")
@click.option("--warmup", type=int, help="Adaptive draws a chain [default: as fit].")
@click.option("--draws", type=int, help="Draws a chain [default: as fit].")
@click.option("--limit", default=60.0, show_default=True, help="Minutes after which a fit is given up.")
@click.option(
    "--out",
    type=FILE,
    default=Path("runs/bench"),
    show_default=True,
    help="Folder of missions, runs, results.jsonl, results.md and scaling.png.",
)
@click.option("--markdown", type=FILE, help="Put the table into this file, between its marks.")
@click.option("--figure", type=FILE, help="Write the figure here too.")
def bench(
    full: bool,
    n_scws: tuple[int, ...],
    n_regions: tuple[int, ...],
    n_bands: tuple[int, ...],
    chosen: tuple[str, ...],
    demo: bool,
    again: bool,
    programme: Path | None,
    limit: float,
    out: Path,
    markdown: Path | None,
    figure: Path | None,
    **fit: int | None,
) -> None:
    """Measure gradients, fits and memory on missions of growing size; all data are simulated.

    Every case runs in processes of its own with an empty cache. What has been measured of this commit is not
    measured again, so that an interrupted series goes on.

    \b
    Examples:
      ridgebayes bench
      ridgebayes bench --case 160000,40,3 --programme pointings.csv.gz
      ridgebayes bench --full --demo --markdown benchmarks/RESULTS.md --figure benchmarks/scaling.png
    """
    from ridgebayes.bench import cases as bench_cases
    from ridgebayes.bench.report import around, format_results, insert, scaling_figure
    from ridgebayes.bench.suite import Settings, measure
    from ridgebayes.io.atomic import whole_file
    from ridgebayes.plots.style import write_figure

    if chosen:
        cases = [bench_cases.read_case(text) for text in chosen]
    elif full or n_scws or n_regions or n_bands:
        cases = bench_cases.grid(
            n_scws or bench_cases.SCWS, n_regions or bench_cases.REGIONS, n_bands or bench_cases.BANDS
        )
    else:
        cases = list(bench_cases.QUICK)
    if markdown:
        around(markdown)  # refused now, not after hours
    options = tuple(x for name, n in fit.items() if n is not None for x in (f"--{name}", str(n)))
    settings = Settings(programme, options, again, 60 * limit)
    results = list(measure(cases, out, settings, demo=demo))
    text = format_results(results)
    with whole_file(out / "results.md") as path:
        path.write_text(text, encoding="utf-8")
    click.echo(text)
    written = [out / "results.jsonl", out / "results.md"]
    pictures = [out / "scaling.png", *([figure] if figure else [])]
    if any("case" in r and r["case"] != "demo" and "failed" not in r for r in results):
        for picture in pictures:
            written.append(write_figure(lambda: scaling_figure(results), picture))
    if markdown:
        insert(text, markdown)
        written.append(markdown)
    say_written(written)
    say_next(("docs/timings.md", "what the times depend on"))
