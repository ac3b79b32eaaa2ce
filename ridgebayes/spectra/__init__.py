"""Photon spectra that are fitted: accreting white dwarfs by mass, cut-off and plain power laws."""
