"""Commands of products: what they say of the draws that they took."""

from types import SimpleNamespace

import pytest

from ridgebayes.cli.products import _intervals
from ridgebayes.runs.intensity import CALIBRATED


@pytest.mark.parametrize(
    ("record", "plain", "words"),
    [
        ({"draws": CALIBRATED, "calibration": "by revolution"}, False, "calibrated by revolution"),
        ({"calibration": "by revolution"}, True, "of the posterior (--plain)"),
        ({"calibration": "none: few draws"}, False, "of the posterior (not calibrated: few draws)"),
        ({}, False, "of the posterior (not calibrated: it was made by an earlier version: fit again)"),
    ],
)
def test_it_says_which_intervals_it_took(record, plain, words):
    assert _intervals(SimpleNamespace(record=record), plain) == words
