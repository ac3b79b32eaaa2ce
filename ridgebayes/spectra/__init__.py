"""Photon spectra for fits: accreting white dwarfs by mass, power laws with and without cut-off."""
