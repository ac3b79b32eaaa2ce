"""All readers of files, each with small valid files and a function that reads them."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table


@dataclass
class Reader:
    """A reader, and a folder with valid files for it.

    Attributes
    ----------
    folder
        Folder with the valid files; a copy of it is changed.
    targets
        Name of a file in the folder → kind of change (`mutations.KINDS`).
    read
        Function that reads such a folder and returns a result or raises an InputError.
    answer
        Function that returns numbers of the result for comparison; None if the files have no checksum.
    sealed
        Names of files with a checksum: if changed, they give the same result or an error.
    """

    folder: Path
    targets: dict[str, str]
    read: Callable[[Path], object]
    answer: Callable[[object], object] = field(default=lambda found: None)
    sealed: tuple[str, ...] = ()


MAKERS: dict[str, Callable[[Path], Reader]] = {}


def reader(name):
    """Register the function that makes a reader under its name."""

    def enter(make):
        MAKERS[name] = make
        return make

    return enter


def make(name: str, folder: Path) -> Reader:
    """Make the valid files of a reader in a new folder inside `folder`."""
    own = Path(folder) / name
    own.mkdir(parents=True, exist_ok=True)
    return MAKERS[name](own)


@cache
def few():
    """Fifteen rows of the bundled simulated mission."""
    from ridgebayes import read_scws

    demo = read_scws(files("ridgebayes.data") / "demo.fits")
    return demo.select(np.arange(100, 115))


def _numbers(scws):
    return [scws.scw_id.tolist(), scws.rate.tolist(), scws.stat_err.tolist(), scws.mjd.tolist(), scws.bands]


def _scws(kind, name, targets, sealed=()):
    @reader(f"table.{name}")
    def make(folder):
        from dataclasses import replace

        from ridgebayes import read_scws, write_scws

        write_scws(replace(few(), truth={"note": "simulated"}), folder / f"a.{name}", overwrite=True)
        return Reader(folder, targets, lambda f: read_scws(f / f"a.{name}"), _numbers, sealed)


_scws("fits", "fits", {"a.fits": "fits"}, ("a.fits",))
_scws("fits.gz", "fits.gz", {"a.fits.gz": "binary"}, ("a.fits.gz",))
_scws("ecsv", "ecsv", {"a.ecsv": "text", "a.truth.json": "text"})
_scws("csv", "csv", {"a.csv": "text", "a.ebounds.ecsv": "text", "a.truth.json": "text"})
_scws("parquet", "parquet", {"a.parquet": "binary", "a.ebounds.ecsv": "text"})


@reader("regions")
def _regions(folder):
    from ridgebayes import sky

    (folder / "a.toml").write_text(
        'name = "mine"\ndescription = "x"\n[[region]]\nname = "GB"\nlon = [-5, 5]\n'
        'shape = {kind = "sech2", scale = 2.0, lat_max = 10}\ncore_lat = 5\n'
        '[[region]]\nname = "map"\nlon = [10, 20]\nshape = {kind = "template", file = "t.fits"}\n'
        '[[region]]\nname = "north"\nbox = {lon = [-20, 20], lat = [30, 60]}\n'
        '[[region]]\nname = "Cygnus"\ncircle = {lon = 80, lat = 0, radius = 4}\n'
    )
    (folder / "t.fits").write_bytes(_healpix())
    return Reader(folder, {"a.toml": "text", "t.fits": "fits"}, lambda f: sky.load(f / "a.toml").solid_angles)


def _healpix():
    values = np.random.default_rng(0).uniform(0, 1, 12 * 4**2).astype(np.float32)
    table = fits.BinTableHDU.from_columns([fits.Column("T", "E", array=values)])
    table.header.update({"ORDERING": "RING", "NSIDE": 4, "COORDSYS": "G", "PIXTYPE": "HEALPIX"})
    return _bytes_of(fits.HDUList([fits.PrimaryHDU(), table]))


def _bytes_of(hdus):
    stream = io.BytesIO()
    hdus.writeto(stream)
    return stream.getvalue()


@reader("template.healpix")
def _template(folder):
    from ridgebayes import sky

    (folder / "t.fits").write_bytes(_healpix())
    return Reader(folder, {"t.fits": "fits"}, lambda f: sky.read_template(f / "t.fits"))


@reader("template.image")
def _template_image(folder):
    from ridgebayes import sky

    image = fits.PrimaryHDU(np.random.default_rng(0).uniform(0, 1, (9, 18)).astype(np.float32))
    keys = {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 9.5}
    image.header.update(keys | {"CRPIX2": 5.0, "CDELT1": -20.0, "CDELT2": 20.0})
    (folder / "t.fits").write_bytes(_bytes_of(fits.HDUList([image])))
    return Reader(folder, {"t.fits": "fits"}, lambda f: sky.read_template(f / "t.fits"))


@reader("response")
def _response(folder):
    from ridgebayes.instrument.response import ImageResponse

    x = np.abs(np.arange(40) - 19.5)
    image = fits.PrimaryHDU(np.clip(1.3 - np.add.outer(x, x) / 20, 0, 1).astype(np.float32))
    image.header.update({"CDELT1": 0.8, "CDELT2": 0.8})
    (folder / "r.fits").write_bytes(_bytes_of(fits.HDUList([image])))

    def read(f):
        found = ImageResponse.from_fits(f / "r.fits")
        return found.key(), found.radius_deg, found.averaged(np.linspace(0, 20, 5))

    return Reader(folder, {"r.fits": "fits"}, read)


@reader("monitor")
def _monitor(folder):
    from ridgebayes.products.monitor import read_monitor

    (folder / "m.csv").write_text(
        "# counts\ndate,OULU,other\n" + "".join(f"20{y:02d}-06-1{y % 9},{95 + y}.5,-\n" for y in range(3, 20))
    )
    (folder / "n.txt").write_text("year month value\n" + "".join(f"2010 {m} {m}.5\n" for m in range(1, 13)))

    def read(f):
        return read_monitor(f / "m.csv", "OULU"), read_monitor(f / "n.txt")

    return Reader(folder, {"m.csv": "text", "n.txt": "text"}, read)


@reader("crab")
def _crab(folder):
    from ridgebayes.instrument.crab_spectrum import crab_spectrum

    (folder / "c.txt").write_text("norm=9.11,index=2.07,break=100,index2=2.27,label=mine")

    def read(f):  # a command-line option, so only text that a command line allows
        found = crab_spectrum((f / "c.txt").read_bytes().decode("utf-8", "replace").replace("\0", ""))
        return found.erg_per_mcrab([25, 60], [60, 80]), found.describe()

    return Reader(folder, {"c.txt": "text"}, read)


@reader("priors")
def _priors(folder):
    from ridgebayes import models, sky
    from ridgebayes.priors import priors_toml, read_priors

    model = models.regions(sky.load("coarse").select(["GB", "L+20"]))
    text = priors_toml(model.parameters).replace("Normal(0, 10)", "Shared(Normal(0, 10), region)", 1)
    (folder / "p.toml").write_text(text)
    return Reader(folder, {"p.toml": "text"}, lambda f: str(model.with_priors(read_priors(f / "p.toml"))))


@reader("prior.text")
def _prior_text(folder):
    from ridgebayes.priors.text import parse_prior

    (folder / "p.txt").write_text(
        "TruncatedNormal(0, 1, low=-2)\nMultivariateNormal([0, 0], [[1, 0.5], [0.5, 1]])\n"
        "Normal([0, 1, 2], 1).expand([3]).to_event(1)\nShared(HalfNormal(0.02), band)\n-3e-2\n[1, 2]"
    )

    def read(f):
        from ridgebayes.errors import InputError

        found, refused = [], None
        for line in (f / "p.txt").read_bytes().decode("utf-8", "replace").split("\n"):
            try:
                found.append(parse_prior(line))
            except InputError as error:
                refused = error
        if refused is not None:
            raise refused
        return found

    return Reader(folder, {"p.txt": "text"}, read)


@reader("events")
def _events(folder):
    from ridgebayes.events import measure, parse_bands, read_events, read_pifs
    from tests.helpers.event_maker import LIT, make_events, mask_shadow, write_events, write_pif

    rng = np.random.default_rng(2)
    pif = mask_shadow()
    write_events(folder / "e.fits", make_events(rng, 80.0, pif=pif, flux=20.0), keywords={"DEADC": 0.9})
    shown = pif * np.isin(np.arange(pif.size), LIT)
    write_pif(folder / "p.fits", shown)

    def read(f):
        events, pifs = read_events(f / "e.fits"), read_pifs(f / "p.fits")
        rates = measure(events, parse_bands("25-60,60-80"), [p for p in pifs if p.scw_id == events.scw_id])
        assert np.isfinite(rates.rate).all(), "a rate that is not finite"
        assert (np.array(rates.stat_err) >= 0).all(), "a negative error"
        return rates.rate, rates.stat_err

    return Reader(folder, {"e.fits": "fits", "p.fits": "fits"}, read)


@reader("events.parts")
def _parts(folder):
    from ridgebayes.events import measure_files, parse_bands
    from tests.helpers.event_maker import make_events, write_events

    def read(f):
        outcome = measure_files([f / "e.fits"], parse_bands("25-60,60-80"), folder=f / "parts")
        assert len(outcome.rates) == 1, f"lost: {outcome.skipped}"
        return outcome.rates[0].rate, outcome.rates[0].stat_err

    write_events(folder / "e.fits", make_events(np.random.default_rng(2), 70.0))
    read(folder)
    part = next((folder / "parts").iterdir()).relative_to(folder)
    return Reader(folder, {str(part): "text"}, read, lambda found: found, (str(part),))


@reader("revolutions")
def _revolutions(folder):
    from ridgebayes.convert.times import read_revolutions

    rows = [f"{70 + k},{52769.0 + 2.99 * k:.3f},2.99\n" for k in range(9)]
    (folder / "r.csv").write_text("REVOL,START,PERIOD\n" + "".join(rows))
    return Reader(folder, {"r.csv": "text"}, lambda f: read_revolutions(f / "r.csv"))


@reader("pointings")
def _pointings(folder):
    from ridgebayes.events import read_pointings

    table = Table({"SCW_ID": few().scw_id, "RA": few().ra, "DEC": few().dec, "ROLL": few().roll})
    table["DEADC"] = 0.9
    table.write(folder / "p.fits", overwrite=True)
    table.write(folder / "p.csv", overwrite=True)

    def read(f):
        return read_pointings(f / "p.fits"), read_pointings(f / "p.csv")

    return Reader(folder, {"p.fits": "fits", "p.csv": "text"}, read)


@reader("programme")
def _programme(folder):
    from ridgebayes.simulate import read_programme

    scws = few()
    table = Table({"scw": scws.scw_id, "rev": scws.revolution, "l_est": scws.lon, "b_est": scws.lat})
    table.write(folder / "p.csv", overwrite=True)
    table["mjd"], table["exposure"], table["phase"] = scws.mjd, scws.exposure, scws.phase
    table.write(folder / "p.fits", overwrite=True)
    table.write(folder / "p.ecsv", overwrite=True)

    def read(f):
        from ridgebayes.table.validation import check_ids

        found = [read_programme(f / name) for name in ("p.csv", "p.fits", "p.ecsv")]
        for one in found:
            check_ids("programme", one.scw_id)
            for name in ("ra", "dec", "mjd", "phase", "exposure"):
                assert np.isfinite(getattr(one, name)).all(), name
            assert ((one.phase >= 0) & (one.phase <= 1)).all(), "phase"
        return found

    return Reader(folder, {"p.csv": "text", "p.fits": "fits", "p.ecsv": "text"}, read)


@reader("mapping")
def _mapping(folder):
    from ridgebayes.convert import convert, dump_mapping, load_mapping
    from tests.helpers.convert_dialects import Dialect, write

    path, mapping = write(few(), folder, Dialect("csv"))
    (folder / "map.toml").write_text(dump_mapping(mapping))
    return Reader(
        folder,
        {"map.toml": "text"},
        lambda f: convert([f / path.name], load_mapping(f / "map.toml")).scws,
    )


def _convert(kind, how):
    @reader(f"convert.{kind}")
    def make(folder):
        from ridgebayes.convert import convert
        from ridgebayes.table.validation import validate
        from tests.helpers.convert_dialects import Dialect, write

        path, mapping = write(few(), folder, Dialect(kind))

        def read(f):
            done = convert([f / path.name], mapping)
            validate(done.scws)
            return done.scws

        return Reader(folder, {path.name: how}, read)


for _kind, _how in {
    "fits": "fits", "fits.gz": "binary", "ecsv": "text", "csv": "text", "txt": "text", "parquet": "binary",
    "vot": "text",
}.items():  # fmt: skip
    _convert(_kind, _how)


# --- runs


def tiny_mission():
    """A few simulated revolutions in one band."""
    from ridgebayes import simulate, sky

    regions = sky.load("coarse").select(["L-20", "GB", "L+20"])
    truth = simulate.Truth(
        bands=simulate.BANDS[:1], template=None, intensity={n: [0.4] for n in regions.names}
    )
    programme = simulate.programme(12, stop=2740, seed=11)
    return regions, simulate.mission(programme, truth, sky=regions, seed=3)


def _sampled(folder, *, stop):
    """Sample a run with few draws; `stop`: as with Ctrl-C, after a few blocks."""
    from unittest import mock

    from ridgebayes import models, read_scws, sample, write_scws
    from ridgebayes.inference.metropolis import Metropolis

    regions, scws = tiny_mission()
    write_scws(scws, folder / "scws.fits", overwrite=True)
    advance, left = Metropolis._block, iter(range(3))

    def counted(self, *args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return advance(self, *args)

    with (
        mock.patch("ridgebayes.inference.runner.CHECKPOINT_SECONDS", 0.0),
        mock.patch.object(Metropolis, "_block", counted if stop else advance),
    ):
        try:
            sample(
                models.regions(regions), read_scws(folder / "scws.fits"), out=folder / "run", chains=2,
                warmup=50, draws=40, seed=5, workers=1, overwrite=True,
            )  # fmt: skip
        except KeyboardInterrupt:
            assert stop
    return folder / "run"


@reader("run")
def _run(folder):
    from ridgebayes.runs.run import Run

    if not (folder / "run" / "run.toml").exists():
        _sampled(folder, stop=False)

    def read(f):
        run = Run.open(f / "run")
        return run.table(), run.scws, run.sky.names, run.response.radius_deg, run.simulated, run.fov_flux()

    def answer(found):
        table, scws, *_, flux = found
        return [
            [table[n].value.tolist() for n in ("mean", "sd", "fov_mean")],
            scws["RATE"].value.tolist(),
            flux.values.tolist(),
        ]

    kinds = {"run/posterior.nc": "binary", "run/run.toml": "text", "run/scws.fits": "fits"}
    return Reader(folder, kinds, read, answer, ("run/posterior.nc", "run/scws.fits"))


@reader("checkpoint")
def _checkpoint(folder):
    from unittest import mock

    from ridgebayes.runs import sampling
    from ridgebayes.runs.run import CHECKPOINT

    if not (folder / "run" / CHECKPOINT).exists():
        _sampled(folder, stop=True)

    def kept(checkpoint, model, prepared, settings, clock, **_):
        try:
            return [checkpoint.start(0), *(checkpoint.chain(0, k) for k in range(2))]
        finally:
            checkpoint.close()

    def read(f):
        as_it_is = mock.patch.object(sampling, "_warned", lambda found: found)
        with mock.patch.object(sampling, "_kept", kept), as_it_is:
            return sampling.resume(f / "run", scws=f / "scws.fits")

    def answer(found):
        start, *chains = found
        return [start.reference.tolist(), [c and [c.warmed, [d.z.tolist() for d in c.draws]] for c in chains]]

    place = folder / "run" / CHECKPOINT
    targets = {str(p.relative_to(folder)): "binary" for p in sorted(place.glob("*.npz"))}
    return Reader(folder, targets | {f"run/{CHECKPOINT}/run.toml": "text"}, read, answer, tuple(targets))


def encoded(answer) -> str:
    """Return a result as text with all digits."""
    return json.dumps(answer, default=str)
