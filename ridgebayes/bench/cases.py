"""Cases of the benchmark: numbers of ScWs, sky regions and bands."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ridgebayes.errors import InputError

SCWS = (5_000, 20_000, 80_000, 160_000)
REGIONS = (10, 40, 100)
BANDS = (1, 3, 30)

SCWS_A_REVOLUTION = {False: 64.0, True: 66.4}
"""Mean of the simulated programme, and (True) of real pointings."""


@dataclass(frozen=True, order=True)
class Case:
    """One configuration.

    Attributes
    ----------
    scws
        Approximate number of ScWs, in whole revolutions spread evenly over the mission.
    regions
        Number of equal bins of longitude along the plane.
    bands
        Number of bands. 1: 25–60 keV; 3: the published ones; else equal in log energy, 20–200 keV.
    """

    scws: int
    regions: int
    bands: int

    def __post_init__(self) -> None:
        for name in ("scws", "regions", "bands"):
            if getattr(self, name) < 1:
                raise InputError(f"n_{name}={getattr(self, name)}: must be at least 1")

    def __str__(self) -> str:
        return f"{self.scws} ScWs, {self.regions} regions, {self.bands} band{'s' * (self.bands > 1)}"

    @property
    def name(self) -> str:
        """Name for folders."""
        return f"{self.scws}-{self.regions}-{self.bands}"

    @property
    def chosen_bands(self) -> list[str]:
        """Options of a fit that select the bands."""
        return ["--band", "A01"] if self.bands == 1 else []

    def mission(self, folder: Path) -> Path:
        """Path of the table; cases with one band use a table with three."""
        return folder / f"mission-{self.scws}-{max(self.bands, 3)}.fits"

    def simulation(self, folder: Path, programme: Path | None) -> list[str]:
        """Arguments of the command that writes the table."""
        revolutions = max(1, round(self.scws / SCWS_A_REVOLUTION[programme is not None]))
        command = ["simulate", "--out", str(self.mission(folder)), "--overwrite"]
        command += ["--revolutions", str(revolutions), "--seed", "1"]
        if self.bands > 3 or self.bands == 2:
            command += ["--n-bands", str(self.bands)]
        return [*command, "--programme", str(programme.absolute())] if programme else command

    def sky(self, folder: Path) -> Path:
        """Write the file of sky regions and return its path."""
        path = folder / f"sky-{self.regions}.toml"
        width = 360 / self.regions
        path.write_text(
            f'name = "{self.regions} bins"\n\n[tiling]\nwidth = {width!r}\n'
            'shape = { kind = "starlight", lat_max = 30 }\ncore_lat = 5\n',
            encoding="utf-8",
        )
        return path


def read_case(text: str) -> Case:
    """Read ``SCWS,REGIONS,BANDS``."""
    try:
        return Case(*(int(word) for word in text.split(",")))
    except (TypeError, ValueError):
        raise InputError(f"case {text}: give three numbers, such as 160000,40,3") from None


QUICK = (Case(5_000, 10, 1), Case(5_000, 40, 1), Case(5_000, 40, 3), Case(20_000, 40, 1))
"""Cases that take a minute or two."""


def grid(
    scws: Iterable[int] = SCWS, regions: Iterable[int] = REGIONS, bands: Iterable[int] = BANDS
) -> list[Case]:
    """Return all combinations, cheapest first."""
    cases = [Case(*sizes) for sizes in itertools.product(scws, regions, bands)]
    return sorted(cases, key=lambda c: (c.scws * c.bands, c.regions))
