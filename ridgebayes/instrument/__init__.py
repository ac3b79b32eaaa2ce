"""ISGRI: its response, the Crab spectrum it is calibrated with, OGIP files for spectral fits."""
