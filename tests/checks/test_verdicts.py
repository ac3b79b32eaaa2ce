"""Verdicts: what is named first, and the remedy in words."""

import json
from dataclasses import replace

import pytest

from ridgebayes.checks.results import Checks, Result
from ridgebayes.checks.verdicts import p_words, remedy
from ridgebayes.comparison.trials import Trial


def row(statistic, z=0.1, p=0.9, band="A01"):
    return Result(statistic, "", band, 1.0, 0.0, -1.0, 1.0, p, z, p < 1e-4)


def checks(*rows, extras=()):
    return Checks(rows, {}, ("A01", "A02"), extras, 50, 1e-4)


def test_the_furthest_out_with_an_extra_is_named_first():
    found = checks(
        row("shape.pit", 90, 1e-12),
        row("crab.path", 5, 1e-5),
        row("neighbours.lag1", 40, 1e-12),
        row("phase.bins"),
    )
    assert found.found == ("neighbours", "crab", "shape")
    assert found.verdict.startswith(
        "3 findings. The scatter of neighbouring ScWs is correlated in A01 (p < 1e-10)"
    )
    assert found.verdicts[-1].subject == "phase"
    assert not found.verdicts[-1].remedy


def test_outbursts_come_before_the_outliers_they_make():
    assert checks(row("tails.kurtosis", 90, 1e-12), row("variable.months", 5, 1e-6)).found == (
        "variable",
        "tails",
    )
    assert checks(row("tails.kurtosis", 90, 1e-12), row("variable.months")).found == ("tails",)


def test_bands_are_named_where_it_was_found():
    found = checks(row("tails.beyond4", 9, 1e-9), row("tails.beyond4", 9, 1e-9, "A02"), row("tails.largest"))
    assert found.verdicts[0].bands == ("A01", "A02")
    assert "in A01, A02" in found.verdict


@pytest.mark.parametrize(
    ("subject", "extras", "words"),
    [
        ("crab", (), "--extra smooth_crab"),
        ("crab", ("smooth_crab",), "the model has smooth_crab already"),
        ("tails", ("correlated_noise",), "add outliers"),
        ("crab_scatter", (), "prior crab.scatter"),
    ],
)
def test_remedy(subject, extras, words):
    assert words in remedy(subject, extras)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        ({"smooth_crab": True}, "add smooth_crab"),
        ({"outliers": True, "smooth_crab": False}, "was tried and does not help: begin with outliers"),
        ({"smooth_crab": False}, "was tried and does not help: shorten crab.smooth_length"),
    ],
)
def test_remedy_of_what_was_tried(tried, words):
    assert words in remedy("crab", (), tried)


def test_what_helps_is_named_first():
    """The Crab is further out, but what mends it was tried in vain: the outliers make it seem to change."""
    rows = row("crab.path", 90, 1e-12), row("tails.beyond4", 5, 1e-6), row("shape.pit", 95, 1e-12)
    trials = Trial("outliers", (), 40.0, 8.0, 30), Trial("smooth_crab", (), 2.0, 3.0, 30)
    found = replace(checks(*rows), trials=trials)
    assert found.found == ("tails", "shape", "crab")
    assert found.verdict.startswith("3 findings. There are more outlying ScWs")
    assert "extras tried on 30 revolutions" in str(found)
    assert "  outliers: helps (+40.0 ± 8.0)" in str(found)
    assert [trial["helps"] for trial in found.as_dict()["trials"]] == [True, False]


def test_p_values_in_words():
    assert [p_words(p) for p in (0.25, 0.0123, 9e-4, 2e-7, 1e-60)] == [
        "p = 0.25", "p = 0.012", "p < 1e-3", "p < 1e-6", "p < 1e-10",
    ]  # fmt: skip


def test_all_goes_into_json():
    told = json.loads(json.dumps(checks(row("tails.beyond4", 9, 1e-9)).as_dict()))
    assert told["verdicts"][0]["text"].startswith("There are more outlying ScWs")
    assert told["results"][0]["found"] is True
