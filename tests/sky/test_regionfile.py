"""Region files: every form is read, every mistake is named in one line."""

import pytest

from ridgebayes import sky
from ridgebayes.errors import InputError
from ridgebayes.sky.regionfile import read_regions
from ridgebayes.sky.regions import tiling_names

GOOD = """
name = "mine"
[[region]]
name = "GB"
lon = [-5, 5]
shape = {kind = "sech2", scale = 2.0, lat_max = 20}
core_lat = 4
[[region]]
name = "far"
lon = [170, 190]
shape = "starlight"
[[region]]
name = "north"
box = {lon = [-20, 20], lat = [30, 60]}
[[region]]
name = "Cygnus"
circle = {lon = 440, lat = 1, radius = 4}
"""


def written(folder, text):
    path = folder / "sky.toml"
    path.write_text(text)
    return path


def test_every_form(tmp_path):
    name, regions = read_regions(written(tmp_path, GOOD))
    assert name == "mine"
    bulge, far, north, cygnus = regions
    assert (bulge.lon, bulge.lat, bulge.core_lat) == ((-5, 5), (-20, 20), (-4, 4))
    assert (bulge.shape.kind, bulge.shape.scale) == ("sech2", 2.0)
    assert (far.centre_lon, far.shape.kind, far.lat, far.core_lat) == (180, "starlight", (-30, 30), (-5, 5))
    assert (north.centre_lat, north.core_lat, north.shape.kind) == (45, (30, 60), "uniform")
    assert (cygnus.centre_lon, cygnus.centre_lat, cygnus.radius) == (80, 1, 4)


def test_uniform_cell_ends_at_its_core(tmp_path):
    text = '[[region]]\nname = "a"\nlon = [0, 10]\nshape = "uniform"\ncore_lat = 7\n'
    assert read_regions(written(tmp_path, text))[1][0].lat == (-7, 7)


def test_name_defaults_to_the_file(tmp_path):
    assert read_regions(written(tmp_path, GOOD.replace('name = "mine"', "")))[0] == "sky"


def test_template_file_is_relative_to_the_region_file(tmp_path):
    (tmp_path / "map.fits").write_text("")
    text = '[[region]]\nname = "a"\nlon = [0, 10]\nshape = {kind = "template", file = "map.fits"}\n'
    assert read_regions(written(tmp_path, text))[1][0].shape.file == str(tmp_path / "map.fits")


def test_shipped_sets():
    assert {"milkyway", "coarse", "example"} <= set(sky.shipped())
    milkyway = sky.load("milkyway")
    assert len(milkyway) == 36
    assert {"GB", "L+10", "L+20", "L-20", "L+180"} <= set(milkyway.names)
    assert "L-180" not in milkyway.names
    coarse = sky.load("coarse")
    assert len(coarse) == 18
    assert {"GB", "L+20", "L-20"} <= set(coarse.names)
    assert milkyway.regions[milkyway.index("GB")].centre_lon == 0
    assert milkyway.regions[milkyway.index("L-20")].centre_lon == -20
    assert len(sky.load("example")) == 5


def test_tiling_names_are_in_order_of_longitude():
    names = tiling_names(40)
    assert names[:2] == [("L-160", -160), ("L-120", -120)]
    assert ("GB", 0) in names
    assert len(names) == 9
    assert tiling_names(22.5)[-1] == ("L+180", 180)
    assert ("L+22.5", 22.5) in tiling_names(22.5)


def one(text):
    return f'[[region]]\nname = "A"\n{text}\n'


BAD = {
    "syntax": ("\n\nname = = 3\n", r"sky\.toml: not valid TOML: .*line 3"),
    "syntax at the end": ("\nname = ", r"sky\.toml: not valid TOML: .*line 2"),
    "empty": ("", r"sky\.toml: no regions in it: add a \[tiling\]"),
    "unknown top key": (
        "[tilling]\nwidth = 10",
        r"sky\.toml: unknown key 'tilling' \(did you mean 'tiling'\?\)",
    ),
    "region is no list": ("region = 3", r"region: write each region as a \[\[region\]\] table"),
    "unknown key": (one("long = [0, 1]"), r"region 'A': unknown key 'long' \(did you mean 'lon'\?\)"),
    "no name": ("[[region]]\nlon = [0, 1]", r"region 1: name: give a text"),
    "no place": (one(""), r"region 'A': needs exactly one of lon, box, circle \(found none"),
    "two places": (one("lon = [0, 1]\ncircle = {}"), "exactly one .*found lon and circle"),
    "no shape": (one("lon = [0, 1]"), "shape: is missing: one of uniform, starlight"),
    "shape is a number": (one("lon = [0, 1]\nshape = 3"), "shape: must be a table with kind"),
    "unknown kind": (
        one('lon = [0, 1]\nshape = "sech"'),
        r"shape: kind: unknown shape 'sech' \(did you mean 'sech2'",
    ),
    "unknown shape key": (
        one('lon = [0, 1]\nshape = {kind = "gauss", scales = 2}'),
        r"shape: unknown key 'scales' \(did you mean 'scale'",
    ),
    "scale missing": (one('lon = [0, 1]\nshape = "gauss"'), "shape: scale: is missing"),
    "scale zero": (one('lon = [0, 1]\nshape = {kind = "gauss", scale = 0}'), "scale: 0 must be above 0"),
    "scale of starlight": (
        one('lon = [0, 1]\nshape = {kind = "starlight", scale = 1}'),
        "scale: a starlight shape has none",
    ),
    "file missing": (
        one('lon = [0, 1]\nshape = {kind = "template", file = "no.fits"}'),
        r"file: no such file .*no\.fits",
    ),
    "file of starlight": (
        one('lon = [0, 1]\nshape = {kind = "starlight", file = "x"}'),
        "file: a starlight shape has none",
    ),
    "lon backwards": (
        one('lon = [350, 10]\nshape = "starlight"'),
        r"lon: low 350 is not below high 10: .*\[-10, 10\]",
    ),
    "lon more than a turn": (one('lon = [-200, 200]\nshape = "starlight"'), "more than a full turn"),
    "lon one number": (one('lon = [3]\nshape = "starlight"'), r"lon: must be \[low, high\]"),
    "lon text": (one('lon = ["a", "b"]\nshape = "starlight"'), r"lon: must be \[low, high\]"),
    "lon nan": (one('lon = [nan, 3]\nshape = "starlight"'), r"lon: must be \[low, high\]"),
    "box lat backwards": (one("box = {lon = [0, 1], lat = [5, 5]}"), "box: lat: low 5 is not below high 5"),
    "box lat too high": (
        one("box = {lon = [0, 1], lat = [5, 95]}"),
        r"box: lat: \[5, 95\] is outside -90 to 90",
    ),
    "box with shape": (
        one('shape = "starlight"\nbox = {lon = [0, 1], lat = [5, 6]}'),
        "shape: a box is uniform",
    ),
    "box is no table": (one("box = 3"), "box: must be a table with lon, lat"),
    "circle radius": (one("circle = {lon = 0, lat = 0, radius = 0}"), "circle: radius: 0 is not a radius"),
    "circle lat": (one("circle = {lon = 0, lat = 91, radius = 1}"), "circle: lat: latitude 91 is outside"),
    "circle text": (one('circle = {lon = "x", lat = 0, radius = 1}'), "circle: lon: 'x' is not a number"),
    "core zero": (one('lon = [0, 1]\nshape = "starlight"\ncore_lat = 0'), "core_lat: 0 must be above 0"),
    "core above lat_max": (
        one('lon = [0, 1]\ncore_lat = 5\nshape = {kind = "starlight", lat_max = 3}'),
        "shape: lat_max: 3 is below core_lat 5",
    ),
    "duplicate": (one("circle = {lon = 0, lat = 0, radius = 1}") * 2, "2 regions are named 'A'"),
    "tiling width": ('[tiling]\nwidth = 7\nshape = "starlight"', r"\[tiling\]: width: 7 does not divide 360"),
    "tiling without width": ('[tiling]\nshape = "starlight"', r"\[tiling\]: width: is missing"),
    "tiling is no table": ("tiling = 10", "tiling: must be a table with width"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(InputError, match=message) as error:
        read_regions(written(tmp_path, text))
    assert "\n" not in str(error.value)
    assert "sky.toml" in str(error.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(
        InputError, match=r"neither a region file nor a shipped set \(did you mean 'milkyway'\?\)"
    ):
        sky.load("milkiway")
    with pytest.raises(InputError, match=r"none\.toml: no such region file"):
        sky.load(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.toml: cannot be read"):
        sky.load(binary)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('lon = [0, 10]\nshape = "starlight"', 'lon = [5, 15]\nshape = "starlight"'),
        ('lon = [170, 190]\nshape = "starlight"', "box = {lon = [-185, -175], lat = [-2, 2]}"),
        ("box = {lon = [-180, 180], lat = [-90, 90]}", "circle = {lon = 80, lat = 0, radius = 0.1}"),
        ("circle = {lon = 0, lat = 90, radius = 20}", "box = {lon = [100, 120], lat = [80, 90]}"),
    ],
)
def test_overlapping_regions_are_refused(tmp_path, first, second):
    text = one(first) + one(second).replace('"A"', '"B"')
    with pytest.raises(InputError, match=r"sky\.toml: regions 'A' and 'B' overlap by .* deg2"):
        sky.load(written(tmp_path, text))


def test_regions_that_touch_do_not_overlap(tmp_path):
    text = (
        one('lon = [0, 10]\nshape = "starlight"')
        + """
[[region]]
name = "B"
lon = [10, 20]
shape = "starlight"
[[region]]
name = "C"
box = {lon = [0, 20], lat = [30, 40]}
"""
    )
    assert sky.load(written(tmp_path, text)).names == ("A", "B", "C")
