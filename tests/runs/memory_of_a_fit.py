"""What test_memory.py runs in a process of its own: a fit; prints its peak memory, MiB, and scalars a draw.

``python memory_of_a_fit.py MISSION.fits DRAWS``
"""

import sys

from ridgebayes import models, read_scws, sample, sky
from ridgebayes.bench.memory import peak_gib

scws = read_scws(sys.argv[1])
regions = sky.load("coarse").select(["L-20", "GB", "L+20"])
run = sample(models.regions(regions), scws, chains=2, warmup=50, draws=int(sys.argv[2]), seed=1, workers=1)
scalars = sum(x[0, 0].size for x in run.tree["posterior"].data_vars.values())
print(1024 * peak_gib(), scalars)
