"""From a ScW table to the density of its rates: arrays, layout, noise models."""
