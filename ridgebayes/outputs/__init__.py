"""Products of a run as objects, one file each, and a row in `PRODUCTS`."""

from __future__ import annotations

from ridgebayes.outputs.background_history import BACKGROUND_HISTORY
from ridgebayes.outputs.crab_history import CRAB_HISTORY
from ridgebayes.outputs.fitspec import FITSPEC
from ridgebayes.outputs.flux import FLUX
from ridgebayes.outputs.longitude_profile import LONGITUDE_PROFILE
from ridgebayes.outputs.paper import PAPER
from ridgebayes.outputs.product import Product
from ridgebayes.outputs.region_spectrum import REGION_SPECTRUM
from ridgebayes.outputs.residuals import RESIDUALS
from ridgebayes.outputs.sky_map import SKY_MAP
from ridgebayes.outputs.starlight import STARLIGHT

__all__ = ["PRODUCTS", "Product"]

PRODUCTS: dict[str, Product] = {
    product.name: product
    for product in (
        CRAB_HISTORY,
        BACKGROUND_HISTORY,
        RESIDUALS,
        SKY_MAP,
        FLUX,
        LONGITUDE_PROFILE,
        STARLIGHT,
        REGION_SPECTRUM,
        FITSPEC,
        PAPER,
    )
}
"""Name → product, in the order of their use."""
