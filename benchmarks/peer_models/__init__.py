"""The model of `ridgebayes.models.regions` for one band in the words of others, a file each.

Every file has `sample`, which compiles and runs it, and where nothing is integrated out `log_density`, which
is compared with ours before anything is timed (`peers.py --check`). `problem` holds the arrays they share.
"""
