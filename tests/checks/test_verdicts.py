"""Verdicts: what is named first, and the remedy in words."""

import json

import pytest

from ridgebayes.checks.results import Checks, Result
from ridgebayes.checks.verdicts import p_words, remedy


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
        ("crab", ("smooth_crab",), "is open already"),
        ("tails", ("correlated_noise",), "in place of correlated_noise"),
        ("crab_scatter", (), "prior crab.scatter"),
    ],
)
def test_remedy(subject, extras, words):
    assert words in remedy(subject, extras)


def test_p_values_in_words():
    assert [p_words(p) for p in (0.25, 0.0123, 9e-4, 2e-7, 1e-60)] == [
        "p = 0.25", "p = 0.012", "p < 1e-3", "p < 1e-6", "p < 1e-10",
    ]  # fmt: skip


def test_all_goes_into_json():
    told = json.loads(json.dumps(checks(row("tails.beyond4", 9, 1e-9)).as_dict()))
    assert told["verdicts"][0]["text"].startswith("There are more outlying ScWs")
    assert told["results"][0]["found"] is True
