"""The classical estimate: background of each revolution, then averages of the residuals.

The method of Krivonos et al. 2012, A&A 537, A92, appendix A, with clipping and measured excess scatter. The
hierarchical model is compared with it. It uses NumPy only and takes a few seconds for a whole mission.

>>> from ridgebayes import classical, read_scws, sky
>>> calibration = classical.calibrate(read_scws("mission.fits"))
>>> table = classical.fluxes(calibration, sky.load("coarse"))

1. Rate of a ScW without sources: ``D = a H + b0 + b1 P + b2 P²``, with H the tracer and P the orbital phase;
   ``a`` from all ScWs at abs(b) > 20° (within revolutions), b0 to b2 from the ScWs of each revolution.
   :mod:`ridgebayes.classical.background`
2. Crab rate: a cubic in time through the ScWs that contain the Crab. :mod:`ridgebayes.classical.calibration`
3. Residual of every ScW in mCrab, and its mean over the pointings in a region, or in a bin of longitude.
   :mod:`ridgebayes.classical.flux`
"""

from ridgebayes.classical.background import Settings
from ridgebayes.classical.calibration import Calibration, calibrate, starlight_sky
from ridgebayes.classical.flux import fluxes, profile

__all__ = ["Calibration", "Settings", "calibrate", "fluxes", "profile", "starlight_sky"]
