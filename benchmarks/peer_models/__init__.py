"""The model of `ridgebayes.models.regions` for one band in the words of others, a file each.

Every file has `build`, which makes the sampler's model, and `sample`, which runs it. `problem` holds the arrays
they share. The density of each is compared with ours before it is timed (`peers.py --check`).
"""
