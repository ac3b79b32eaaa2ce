"""The regions that a terminal shows: those measured best, in the order of the table."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ridgebayes.runs.intensity import best_first, main_regions


def test_highest_flux_over_its_error_in_the_order_of_the_table():
    names = ["a", "b", "c", "d"]
    table = QTable(
        {
            "region": np.tile(names, 2),
            "band": np.repeat(["A01", "A02"], 4),
            "fov_mean": np.array([1.0, 50.0, 3.0, 90.0, 9.0, 0.0, 9.0, 0.0]) * u.one,
            "fov_sd": np.array([1.0, 10.0, 1.0, 100.0, 1.0, 1.0, 1.0, 1.0]) * u.one,
        }
    )
    # b is 5 sigma in the first band, c 3, a 1, d 0.9.
    shown = main_regions(table, 2)
    assert list(zip(shown["region"], shown["band"], strict=True)) == [
        ("b", "A01"), ("c", "A01"), ("b", "A02"), ("c", "A02"),
    ]  # fmt: skip
    assert len(main_regions(table)) == 8
    ordered = best_first(table)
    assert list(ordered["region"]) == ["b", "b", "c", "c", "a", "a", "d", "d"]
    assert list(ordered["band"]) == ["A01", "A02"] * 4
    table.rename_columns(["fov_mean", "fov_sd"], ["mean", "sd"])
    assert list(main_regions(table, 1)["region"]) == ["b", "b"]


def test_a_model_without_a_sky_has_no_rows():
    assert len(main_regions(QTable())) == 0
