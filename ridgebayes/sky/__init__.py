"""The sky: regions from a file, starlight and user templates, and the exposure of each ScW to them.

>>> import ridgebayes.sky as sky
>>> sky.load("coarse").names[8:10]
('GB', 'L+20')
"""

from ridgebayes.sky.exposure import exposure, point_response, uncovered
from ridgebayes.sky.regionfile import shipped
from ridgebayes.sky.regions import Region, Shape
from ridgebayes.sky.skymap import Sky, build, from_record, load
from ridgebayes.sky.starlight import Freudenreich, starlight
from ridgebayes.sky.templates import read_template

__all__ = [
    "Freudenreich",
    "Region",
    "Shape",
    "Sky",
    "build",
    "exposure",
    "from_record",
    "load",
    "point_response",
    "read_template",
    "shipped",
    "starlight",
    "uncovered",
]
