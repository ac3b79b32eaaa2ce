"""The likelihood of the rates of a ScW table: arrays, layout, noise models."""
