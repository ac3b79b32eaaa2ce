"""Benchmark results as Markdown and as a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ridgebayes.errors import InputError
from ridgebayes.io.atomic import whole_file
from ridgebayes.plots.style import BLUE, CHAINS, GREY, ORANGE, VERMILLION, in_style, new_figure

BEGIN, END = "<!-- ridgebayes bench: begin -->", "<!-- ridgebayes bench: end -->"

Result = Mapping[str, Any]

_COLUMNS: dict[str, Callable[[Result], str]] = {
    "ScWs": lambda r: f"{r['scws']:,}",
    "regions": lambda r: str(r["case"]["regions"]),
    "bands": lambda r: str(r["case"]["bands"]),
    "parameters": lambda r: str(r["parameters"]),
    "gradient ms": lambda r: f"{r['gradient_ms']:.2f}",
    "floor ms": lambda r: f"{r['floor_ms']:.2f}",
    "ratio": lambda r: f"{r['gradient_ms'] / r['floor_ms']:.1f}",
    "steps a draw": lambda r: f"{r['steps_a_draw']:.1f}",
    "wall s": lambda r: f"{r['fit']['wall_s']:.1f}",
    "again s": lambda r: f"{r['again']['wall_s']:.1f}" if "again" in r else "",
    "compile s": lambda r: f"{r['fit']['compile_s']:.1f}",
    "worst ESS": lambda r: f"{r['worst_ess_sky']:.0f}",
    "ESS a s": lambda r: f"{ess_per_second(r):.2f}",
    "R-hat": lambda r: f"{r['worst_r_hat']:.3f}",
    "diverged": lambda r: str(r["divergences"]),
    "peak GiB": lambda r: f"{r['fit']['peak_gib']:.2f}",
}

_NOTE = (
    "Each case: `ridgebayes fit` in a process of its own with an empty cache (wall: from its start to its "
    "end; again: a second time; compile: lowering and compiling, summed over threads). Gradient: value and "
    "gradient of the log posterior of one band; floor: reading the arrays that it reads once, in the same "
    "process, in turn (medians). Steps a draw: leapfrog steps, each a gradient; an independent proposal has "
    "none. Worst ESS: bulk, of a sky intensity; ESS a s: over the wall time. R-hat: worst of all parameters. "
    "Sampling ms a draw: wall time, warm-up counted, of all chains and bands."
)


def ess_per_second(result: Result) -> float:
    """Smallest ESS of a sky intensity per second of the whole command."""
    return result["worst_ess_sky"] / result["fit"]["wall_s"]


def done(results: Sequence[Result]) -> list[Result]:
    """Return the cases of a grid that finished."""
    return [r for r in results if r["case"] != "demo" and "failed" not in r]


def format_results(results: Sequence[Result]) -> str:
    """Format as Markdown: machine and versions, table, time by stage, unfinished cases."""
    lines = [_heading(results), "", _NOTE, ""]
    found = done(results)
    if found:
        columns = {n: f for n, f in _COLUMNS.items() if n != "again s" or any("again" in r for r in found)}
        lines += _table([*columns], [[show(r) for show in columns.values()] for r in found])
        stages = list(dict.fromkeys(stage for r in found for stage in r["stages_s"]))
        lines += ["", "Where the time of the fit goes, s:", ""]
        lines += _table(
            ["ScWs", "regions", "bands", *stages, "start, figures, files", "sampling ms a draw"],
            [[*(_COLUMNS[n](r) for n in ("ScWs", "regions", "bands")), *_stages(r, stages)] for r in found],
        )
    for r in results:
        if r["case"] == "demo" and "failed" not in r:
            first, again = r["fit"], r["again"]
            lines += [
                "",
                f"`ridgebayes demo`: {first['wall_s']:.1f} s from an empty cache "
                f"({first['programs']} programs compiled in {first['compile_s']:.1f} s), a second time "
                f"{again['wall_s']:.1f} s; {first['peak_gib']:.2f} GiB.",
            ]
        elif "failed" in r:
            lines += ["", f"Not measured: {_case(r)}: {r['failed']}"]
    return "\n".join(lines) + "\n"


def _heading(results: Sequence[Result]) -> str:
    """Return machine, versions, commit and dates; results of one call share all but the dates."""
    if not results:
        return "Nothing was measured."
    last = results[-1]
    machine, versions = last["machine"], last["versions"]
    devices = dict.fromkeys(r["fit"]["device"] for r in results if "fit" in r)
    dates = [r["when"][:10] for r in results]
    loads = [r["load"] for r in results if r.get("load") is not None]
    texts = [
        f"{machine['cores']} cores of {machine['processor']}"
        + (f", {machine['memory_gib']:g} GiB" if machine["memory_gib"] else ""),
        f"JAX device {' and '.join(devices) or 'not known'}",
        ", ".join(f"{name} {versions[name]}" for name in ("python", "jax", "numpyro", "numpy")),
        f"commit {last['commit'][:8] + '+' * last['commit'].endswith('+') or 'not known'}",
        " to ".join(dict.fromkeys((min(dates), max(dates)))),
    ]
    if loads:
        texts.append(f"load of the machine before a case {min(loads):.1f} to {max(loads):.1f}")
    options = " ".join(last["options"])
    texts.append(f"pointings: {last['programme']}; options of the fit: {options or 'none'}")
    return "Simulated data. " + "; ".join(texts) + "."


def _case(result: Result) -> str:
    case = result["case"]
    return case if case == "demo" else ", ".join(f"{n} {name}" for name, n in case.items())


def _stages(result: Result, stages: Sequence[str]) -> list[str]:
    spent = result["stages_s"]
    rest = result["fit"]["wall_s"] - sum(spent.values())
    told = result["sampling"]
    draws = told["chains"] * (told["warmup"] + told["draws"]) * result["case"]["bands"]
    each_draw = f"{1e3 * spent['sampling'] / draws:.2f}" if "sampling" in spent else ""
    each = [f"{spent[stage]:.1f}" if stage in spent else "" for stage in stages]
    return [*each, f"{rest:.1f}", each_draw]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]


def around(path: Path) -> tuple[str, str]:
    """Return the text before and after the marks in a Markdown file; without marks, all text and a newline.

    Raises
    ------
    InputError
        If the file is missing, or has only one of the marks.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file: give a Markdown file")
    old = path.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if bool(begin) != bool(end) or (not begin and END in old):
        raise InputError(f"{path}: has only one of the marks {BEGIN} and {END}: put both, or none")
    return before if begin else old.rstrip("\n") + "\n\n", after or "\n"


def insert(text: str, path: Path) -> None:
    """Replace the text between the marks of a Markdown file; without marks, append it.

    Raises
    ------
    InputError
        As in `around`.
    """
    before, after = around(path)
    with whole_file(path) as new:
        new.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


@in_style
def scaling_figure(results: Sequence[Result]) -> Figure:
    """Plot gradient, wall time, ESS per second and memory against the number of ScWs."""
    found = done(results)
    figure = new_figure("What a fit costs (simulated data)", height_mm=130)
    axes = figure.subplots(2, 2, sharex=True).ravel()
    panels: tuple[tuple[str, Callable[[Result], float]], ...] = (
        ("Gradient of one band [ms]; ×: its arrays read once", lambda r: r["gradient_ms"]),
        ("Wall time of `ridgebayes fit` [s]", lambda r: r["fit"]["wall_s"]),
        ("Worst ESS of an intensity a second", ess_per_second),
        ("Peak memory [GiB]", lambda r: r["fit"]["peak_gib"]),
    )
    regions = sorted({r["case"]["regions"] for r in found})
    bands = sorted({r["case"]["bands"] for r in found})
    most = max(bands, key=lambda n: sum(r["case"]["bands"] == n for r in found))
    colours = dict(zip(regions, (BLUE, ORANGE, VERMILLION, *CHAINS[1:], GREY), strict=False))
    styles = dict(zip(bands, ("o-", "s--", "^:", "v-.", "D-"), strict=False))
    for ax, (label, value) in zip(axes, panels, strict=True):
        for (n_regions, n_bands), rows in _lines(found).items():
            # A gradient is that of one band for any number of bands, so one series of cases is enough.
            if ax is axes[0] and n_bands != most:
                continue
            x, colour = [r["scws"] for r in rows], colours.get(n_regions, GREY)
            ax.plot(x, [value(r) for r in rows], styles.get(n_bands, "o-"), color=colour, ms=3, lw=1)
            if ax is axes[0]:
                ax.plot(x, [r["floor_ms"] for r in rows], "x", color=colour, ms=4)
        _logarithmic(ax)
        ax.set_title(label, loc="left")
    axes[3].set(yscale="linear", ylim=(0, None))
    for ax in axes[2:]:
        ax.set_xlabel("ScWs")
    line = lambda style, **looks: axes[0].plot([], [], style, ms=3, lw=1, **looks)[0]  # noqa: E731
    handles = {f"{n} regions": line("-", color=colours.get(n, GREY)) for n in regions}
    handles |= {f"{n} band{'s' * (n > 1)}": line(styles.get(n, "o-"), color="black") for n in bands}
    names = list(handles)
    figure.legend([handles[n] for n in names], names, loc="outside lower center", ncols=min(len(names), 6))
    return figure


def _lines(results: Sequence[Result]) -> dict[tuple[int, int], list[Result]]:
    """Group results: (regions, bands) → results in order of ScWs."""
    lines: dict[tuple[int, int], list[Result]] = {}
    for r in sorted(results, key=lambda r: (r["case"]["bands"], r["case"]["regions"], r["scws"])):
        lines.setdefault((r["case"]["regions"], r["case"]["bands"]), []).append(r)
    return lines


def _logarithmic(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axis.set_minor_formatter(NullFormatter())
