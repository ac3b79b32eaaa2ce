"""A spectrum for XSPEC, Sherpa and 3ML: OGIP PHA file of type I with its response.

A band is a channel and its value in mCrab stands as RATE, with mCrab in the place of counts/s. The response
carries what that means: its area in channel c is constant, A_c = 1000 / ∫_c N_Crab dE in "cm²", so that the
assumed Crab spectrum N_Crab folds to 1000 in every channel, and f of it to 1000 f. A model in ph/cm²/s/keV
then has its usual units: for a FOV flux in mCrab those of a source, for an intensity in mCrab/deg² per deg².

- Every channel has many energy bins, so that a model may be as steep as it likes. Photons stay in the channel
  of their energy, and the response covers the bands and nothing else. Area and redistribution are in one file
  (SPECRESP MATRIX); there is no ARF. 3ML refuses channels with a gap between them; the others do not.
- A flat area neglects how the detector's efficiency changes within a band. With the efficiency that the
  simulator assumes, a model of photon index 1.55 folds 0.5 % too high in 25–60 keV and 4 % in 80–200 keV,
  less in narrower bands.
- Bands are correlated through what they share (solid angle, Crab). Readers take STAT_ERR, the square root of
  the diagonal; the full covariance is in the image extension COVMAT of the PHA file, which they pass over.

Formats: OGIP/92-007 (HDUVERS 1.2.1) and CAL/GEN/92-002 (HDUVERS 1.3.0).
"""

from ridgebayes.instrument.ogip.response import write_rmf
from ridgebayes.instrument.ogip.spectrum import write_pha, write_spectrum

__all__ = ["write_pha", "write_rmf", "write_spectrum"]
