"""ISGRI: its response, the Crab spectrum for its calibration, OGIP files for spectral fits."""
