"""OGIP files, read by astropy and folded here by hand; read by Sherpa where it is installed."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from scipy.integrate import quad

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import ATEL4869, CRAB
from ridgebayes.instrument.ogip import write_pha, write_rmf, write_spectrum
from ridgebayes.table.scw import Band

EDGES = np.geomspace(17.3, 200, 31)
BANDS = {
    "three": (Band("A01", 25, 60), Band("A02", 60, 80), Band("A03", 80, 200)),
    "thirty": tuple(Band(f"B{i:02d}", EDGES[i], EDGES[i + 1]) for i in range(30)),
    "gap": (Band("A01", 25.1, 60.3), Band("A03", 80.7, 200)),
    "one": (Band("A01", 25, 60),),
}


def spectrum_of(bands, scale=0.1):
    """Return scale Crab in every band, and a covariance with an error in common."""
    mean = np.full(len(bands), 1000 * scale)
    return mean, np.diag((0.02 * mean) ** 2) + 0.01**2 * np.outer(mean, mean)


def write(folder, name, **options):
    bands = BANDS[name]
    return write_spectrum(folder / f"{name}.pha", bands, *spectrum_of(bands), simulated=True, **options)


def fold(path, model):
    """Fold a photon spectrum (a plain function of keV) through a response, group by group; by quadrature."""
    with fits.open(path) as hdus:
        matrix, ebounds = hdus["SPECRESP MATRIX"], hdus["EBOUNDS"]
        first = matrix.header["TLMIN4"]
        counts = np.zeros(matrix.header["DETCHANS"])
        for row in matrix.data:
            photons = quad(model, row["ENERG_LO"], row["ENERG_HI"], epsrel=1e-9)[0]
            assert row["N_GRP"] == 1
            start = row["F_CHAN"] - first
            counts[start : start + row["N_CHAN"]] += photons * np.asarray(row["MATRIX"], float)
        assert len(ebounds.data) == len(counts)
    return counts


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("crab", [CRAB, ATEL4869])
def test_the_crab_folds_to_its_mcrab(tmp_path, name, crab):
    pha, response = write(tmp_path, name, crab=crab)
    np.testing.assert_allclose(fold(response, lambda e: 0.1 * float(crab.photons(e))), 100.0, rtol=1e-6)
    with fits.open(pha) as hdus:
        np.testing.assert_allclose(hdus["SPECTRUM"].data["RATE"], 100.0, rtol=1e-6)


@pytest.mark.parametrize("name", BANDS)
def test_another_source_folds_to_its_photons_over_those_of_the_crab(tmp_path, name):
    def model(energy):
        return 3.0 * np.exp(-energy / 8.0) / energy + 1e-3 * energy**-1.55

    def crab(energy):
        return 10 * energy**-2.1

    _, response = write(tmp_path, name)
    expected = [
        1000 * quad(model, b.e_min, b.e_max, epsrel=1e-10)[0] / quad(crab, b.e_min, b.e_max, epsrel=1e-10)[0]
        for b in BANDS[name]
    ]
    np.testing.assert_allclose(fold(response, model), expected, rtol=2e-6)


@pytest.mark.parametrize("name", BANDS)
def test_energies_adjoin_and_channels_have_the_edges_of_the_bands(tmp_path, name):
    _, response = write(tmp_path, name)
    with fits.open(response) as hdus:
        data, ebounds = hdus["SPECRESP MATRIX"].data, hdus["EBOUNDS"].data
        low, high = data["ENERG_LO"], data["ENERG_HI"]
        np.testing.assert_array_equal(low[1:], high[:-1])
        assert np.all(high > low)
        for i, band in enumerate(BANDS[name]):
            inside = (low >= ebounds["E_MIN"][i]) & (high <= ebounds["E_MAX"][i])
            assert inside.sum() >= 20
            assert low[inside][0] == np.float32(band.e_min) == ebounds["E_MIN"][i]
            assert high[inside][-1] == np.float32(band.e_max) == ebounds["E_MAX"][i]
            elements = np.stack(data["MATRIX"][inside])
            assert np.all(elements[:, i] > 0)
            assert np.all(np.delete(elements, i, axis=1) == 0)
        assert list(ebounds["BAND"]) == [band.name for band in BANDS[name]]
        assert list(ebounds["CHANNEL"]) == list(range(1, len(ebounds) + 1))


def test_files_are_valid_and_say_what_they_are(tmp_path):
    pha, response = write(
        tmp_path, "three", region="GB", comments=["Run demo.", "FOV flux."], exposure=1.5e6, crab=ATEL4869
    )
    for path in (pha, response):
        with warnings.catch_warnings(), fits.open(path) as hdus:
            warnings.simplefilter("error")
            hdus.verify("exception")
            for hdu in hdus:
                assert hdu.header["SIMUL"] is True
            text = " ".join(hdus[1].header["COMMENT"])
            assert "SIMULATED" in text
            assert "Run demo. FOV flux." in text
            assert "9.111 E^-2.07 ph/cm2/s/keV" in text
            assert "ATel 4869" in text
            assert hdus[1].header["CREATOR"].startswith("ridgebayes ")
    header = fits.getheader(pha, "SPECTRUM")
    expected = {
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "SPECTRUM",
        "HDUCLAS2": "NET",
        "HDUCLAS3": "RATE",
        "HDUVERS": "1.2.1",
        "TELESCOP": "INTEGRAL",
        "INSTRUME": "IBIS",
        "DETNAM": "ISGRI",
        "FILTER": "NONE",
        "OBJECT": "GB",
        "EXPOSURE": 1.5e6,
        "POISSERR": False,
        "CHANTYPE": "PI",
        "DETCHANS": 3,
        "AREASCAL": 1.0,
        "BACKSCAL": 1.0,
        "CORRSCAL": 0.0,
        "RESPFILE": "three.rsp",
        "ANCRFILE": "NONE",
        "BACKFILE": "NONE",
        "CORRFILE": "NONE",
    }
    assert {key: header[key] for key in expected} == expected
    header = fits.getheader(response, "SPECRESP MATRIX")
    expected = {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "FULL", "HDUVERS": "1.3.0"}
    expected |= {"DETCHANS": 3, "CHANTYPE": "PI", "TLMIN4": 1, "TLMAX4": 3, "INSTRUME": "IBIS"}
    assert {key: header[key] for key in expected} == expected
    assert fits.getheader(response, "EBOUNDS")["HDUCLAS2"] == "EBOUNDS"


def test_covariance_and_errors(tmp_path):
    bands = BANDS["three"]
    mean, covariance = spectrum_of(bands)
    pha, _ = write(tmp_path, "three")
    with fits.open(pha) as hdus:
        np.testing.assert_array_equal(hdus["COVMAT"].data, covariance)
        np.testing.assert_allclose(hdus["SPECTRUM"].data["STAT_ERR"], np.hypot(2, 1), rtol=1e-6)
        assert np.all(hdus["SPECTRUM"].data["SYS_ERR"] == 0)
    write_pha(tmp_path / "plain.pha", bands, -mean, [1, 2, 3], respfile="three.rsp", simulated=False)
    with fits.open(tmp_path / "plain.pha") as hdus:
        assert len(hdus) == 2
        assert hdus[1].header["SIMUL"] is False
        assert "COMMENT" in hdus[1].header
        assert "SIMULATED" not in " ".join(hdus[1].header["COMMENT"])
        np.testing.assert_array_equal(hdus[1].data["RATE"], [-100, -100, -100])
        np.testing.assert_array_equal(hdus[1].data["STAT_ERR"], [1, 2, 3])


def test_files_are_replaced_only_when_asked_and_whole(tmp_path, monkeypatch):
    pha, response = write(tmp_path, "three")
    before = pha.read_bytes(), response.read_bytes()
    with pytest.raises(InputError, match=r"three\.rsp: exists already"):
        write(tmp_path, "three", crab=ATEL4869)
    response.unlink()
    with pytest.raises(InputError, match=r"three\.pha: exists already"):
        write(tmp_path, "three")
    assert not response.exists()
    write_rmf(response, BANDS["three"], simulated=True)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fits.HDUList, "writeto", full)
        with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
            write(tmp_path, "three", overwrite=True)
    assert pha.read_bytes() == before[0]
    assert response.read_bytes() == before[1]
    write(tmp_path, "three", overwrite=True, crab=ATEL4869)
    assert response.read_bytes() != before[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three.pha", "three.rsp"]


ONE, TWO = Band("A01", 25, 60), Band("A02", 60, 80)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": (TWO, ONE)}, "A02 .60-80 keV. and A01 .25-60 keV. overlap or do not increase"),
        ({"bands": (ONE, Band("A02", 50, 80))}, "overlap or do not increase"),
        ({"bands": ()}, "no rows"),
        (
            {"bands": (Band("A01", 0, 60), TWO)},
            "A01.: E_MIN 0 and E_MAX 60 keV are no interval: give 0 < E_MIN < E_MAX",
        ),
        ({"bands": (ONE, Band("a01", 60, 80))}, "repeats"),
        ({"mean": [1.0, 2.0, 3.0]}, r"rate has shape \(3,\), the bands ask for \(2,\)"),
        ({"mean": [1.0, np.nan]}, "rate is not finite"),
        ({"covariance": np.eye(3)}, "covariance has shape"),
        ({"covariance": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "negative eigenvalues"),
        ({"covariance": [[1.0, 0.0], [0.0, 0.0]]}, "error of band A02 is 0 mCrab"),
        ({"covariance": [[1.0, np.inf], [np.inf, 1.0]]}, "covariance is not finite"),
        ({"region": "Größe"}, "OBJECT 'Größe' in FITS"),
        ({"comments": ["5 mCrab/deg²"]}, "COMMENT '5 mCrab/deg²' in FITS"),
        ({"exposure": 0.0}, "exposure 0 s must be above 0"),
        ({"path": "spectrum.rsp"}, "name the spectrum .pha"),
        ({"path": "missing/spectrum.pha"}, "missing does not exist"),
        ({"path": "x" * 70 + ".pha"}, "RESPFILE"),
        ({"path": "."}, "is a directory"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, changes, message):
    inputs = {"path": "s.pha", "bands": (ONE, TWO), "mean": [1.0, 2.0], "covariance": np.eye(2)} | changes
    path = tmp_path / inputs.pop("path")
    with pytest.raises(InputError, match=message) as caught:
        write_spectrum(path, **inputs, simulated=False)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "covariance", "message"),
    [
        ([1.0, -1.0], None, "error of band A02 is -1 mCrab"),
        ([1.0, 0.0], None, "error of band A02 is 0 mCrab"),
        ([1.0, np.nan], None, "error is not finite"),
        ([1.0], None, "error has shape"),
        (None, None, "neither error nor covariance"),
        ([1.0, 2.0], np.eye(2), "not the root of the diagonal"),
    ],
)
def test_errors_that_are_none(tmp_path, error, covariance, message):
    with pytest.raises(InputError, match=message):
        write_pha(
            tmp_path / "s.pha",
            (ONE, TWO),
            [1.0, 2.0],
            error,
            covariance=covariance,
            respfile="s.rsp",
            simulated=False,
        )


@pytest.mark.parametrize("name", BANDS)
def test_sherpa_reads_and_fits(tmp_path, name):
    ui = pytest.importorskip("sherpa.astro.ui")
    pha, _ = write(tmp_path, name)
    ui.clean()
    ui.load_pha(str(pha), use_errors=True)
    data = ui.get_data()
    source = ui.powlaw1d.source
    source.ref, source.gamma, source.ampl = 1.0, 2.1, 1.0  # the Crab x 0.1
    ui.set_source(source)
    np.testing.assert_allclose(data.eval_model(ui.get_model()), 100.0, rtol=1e-5)
    np.testing.assert_allclose(data.get_dep(), 100.0, rtol=1e-5)
    np.testing.assert_allclose(data.get_staterror(), np.hypot(2, 1), rtol=1e-5)
    if len(BANDS[name]) > 1:
        source.gamma, source.ampl = 1.7, 0.5
        ui.set_stat("chi2")
        ui.fit()
        assert source.gamma.val == pytest.approx(2.1, abs=1e-3)
        assert source.ampl.val == pytest.approx(1.0, rel=3e-3)
