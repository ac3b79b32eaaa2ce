"""``ridgebayes bench``: time and memory of fits on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import FILE, programme_option
from ridgebayes.cli.ending import say_next, say_written


@click.command(short_help="Measure time and memory on missions of growing size")
@click.option(
    "--full",
    is_flag=True,
    help="Measure the whole grid, which takes hours on two cores [default: a minute or two].",
)
@click.option(
    "--n-scws", multiple=True, type=int, help="Only missions of about this number of ScWs (repeatable)."
)
@click.option("--n-regions", multiple=True, type=int, help="Only this number of sky regions (repeatable).")
@click.option("--n-bands", multiple=True, type=int, help="Only this number of bands (repeatable).")
@click.option(
    "--case",
    "chosen",
    multiple=True,
    metavar="SCWS,REGIONS,BANDS",
    help="Measure this case instead of a grid (repeatable).",
)
@click.option(
    "--demo", is_flag=True, help="Also measure `ridgebayes demo`, with an empty cache and with a filled one."
)
@click.option(
    "--again", is_flag=True, help="Fit each case a second time, with the compiled code of the first."
)
@programme_option
@click.option("--chains", type=int, help="Chains of each fit [default: as fit].")
@click.option("--warmup", type=int, help="Warm-up draws per chain [default: as fit].")
@click.option("--draws", type=int, help="Draws per chain [default: as fit].")
@click.option("--limit", default=60.0, show_default=True, help="Stop a fit after this time, minutes.")
@click.option(
    "--out",
    type=FILE,
    default=Path("runs/bench"),
    show_default=True,
    help="Folder of missions, runs, results.jsonl, results.md and scaling.png.",
)
@click.option("--markdown", type=FILE, help="Also insert the table into this file, between its marks.")
@click.option("--figure", type=FILE, help="Also write the figure to this file.")
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

    Every case runs in its own processes with an empty cache. Cases that were measured at this commit are not
    measured again, so an interrupted series can be continued.

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
        around(markdown)  # raise errors now, not after hours
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
