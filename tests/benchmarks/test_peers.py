"""The peers of the benchmark sample our model: their log density is ours."""

import sys

import numpy as np
import pytest

from ridgebayes.likelihood.design import prepare
from ridgebayes.models import regions

peers = pytest.importorskip("peers")


@pytest.fixture(scope="module")
def mission(small_mission, three_regions):
    from peer_models.problem import problem

    prepared = prepare(small_mission.take_bands(["A01"]), three_regions)
    return prepared, problem(prepared)


def our_difference(prepared, points, sky):
    from numpyro.infer.util import log_density

    model = regions(sky, marginal=False).with_priors(peers.AS_PEERS)
    one, two = (
        float(log_density(model, (prepared.data,), {}, peers._in_our_words(point))[0]) for point in points
    )
    return one - two


@pytest.mark.slow
def test_arrays_are_those_of_the_fit(mission, small_mission):
    prepared, given = mission
    np.testing.assert_array_equal(given.rate, prepared.scws.rate[:, 0])
    np.testing.assert_allclose(given.dense_exposure.sum(1), given.exposure.sum(1))
    assert given.dense_exposure.shape == (len(small_mission), 3)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.slow
def test_numpyro_has_our_density(mission, three_regions, centred):
    from peer_models import numpyro_plain

    prepared, given = mission
    points = [peers._point(given, np.random.default_rng(seed)) for seed in (1, 2)]
    expected = our_difference(prepared, points, three_regions)
    own = [peers._centred(p) if centred else p for p in points]
    one, two = (numpyro_plain.log_density(given, point, centred=centred) for point in own)
    # Centred terms b = sd · u: log p(b) = log p(u) − Σ log sd.
    volume = [given.level.size * np.log(p["revolution_sd"]).sum() if centred else 0.0 for p in points]
    assert one - two + volume[0] - volume[1] == pytest.approx(expected, rel=1e-8)
    assert abs(expected) > 100


@pytest.mark.slow
def test_what_a_peer_cannot_finish_is_not_tried_on_more(tmp_path, monkeypatch, capsys):
    tried = []

    def timed(peer, setup, mission, regions_file, given):
        tried.append((peer, setup, mission.stem))
        label = {"peer": peer, "setup": setup, "asked": mission.stem}
        if peer == "blackjax" and setup == "dense":
            return label | {"failed": "not finished after 1 min"}
        if peer == "numpyro" and "5000" in mission.stem:
            return label | {"failed": "not finished after 1 min"}
        numbers = {"compile_s": 1.0, "sample_s": 2.0, "steps": 10.0, "worst_ess": 50.0, "worst_r_hat": 1.01}
        return label | numbers | {"scws": 1, "divergences": 0, "peak_gib": 1.0, "means": [1.0], "sds": [0.1]}

    monkeypatch.setattr(peers, "_timed", timed)
    monkeypatch.setattr(peers, "check", lambda *_: None)
    for size in (1000, 5000, 9000):
        (tmp_path / f"mission-{size}-3.fits").touch()
    arguments = [
        "peers.py",
        "--out",
        str(tmp_path),
        "--peer",
        "blackjax",
        "--peer",
        "numpyro",
        "--peer",
        "ours",
    ]
    sizes = [x for size in ("1000", "5000", "9000") for x in ("--scws", size)]
    monkeypatch.setattr(sys, "argv", [*arguments, *sizes])
    peers.main()
    assert [t for t in tried if t[0] == "blackjax"] == [
        ("blackjax", "diagonal", "mission-1000-3"),
        ("blackjax", "dense", "mission-1000-3"),
        ("blackjax", "diagonal", "mission-5000-3"),
        ("blackjax", "diagonal", "mission-9000-3"),
    ]
    assert not [t for t in tried if t[0] == "numpyro" and "9000" in t[2]]
    printed = capsys.readouterr().out
    assert "not finished after 1 min" in printed
    assert "- blackjax (diagonal): 1 ScWs is the largest it finished; ours has 1 times" in printed
    assert (tmp_path / "peers.md").read_text() in printed
