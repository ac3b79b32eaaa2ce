"""What a checkpoint keeps of the start of chains comes back as it was."""

import numpy as np
import pytest

from ridgebayes.inference.emulator import Emulator
from ridgebayes.inference.metropolis import Pace
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.sampler import METROPOLIS, NUTS, Start
from ridgebayes.runs.checkpoint import Checkpoint

AROUND = Gaussian(np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.5, 2.0]]))
PROPOSAL = Proposal.about(AROUND, 25.0)._replace(skew=np.array([0.1, -0.2]))
EMULATOR = Emulator(PROPOSAL._replace(degrees=7.0), np.array([3.0]), np.arange(6.0).reshape(3, 2))
HIT = np.array([[[True, False]]])


def same(one, other):
    """Compare nested tuples of arrays."""
    if isinstance(one, tuple):
        assert type(one) is type(other)
        for x, y in zip(one, other, strict=True):
            same(x, y)
    elif one is None:
        assert other is None
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "start",
    [
        Start(NUTS, np.arange(3.0), AROUND),
        Start(METROPOLIS, np.arange(3.0), AROUND, PROPOSAL, HIT, Pace(3, 0.9, 0.05)),
        Start(METROPOLIS, np.arange(3.0), AROUND, PROPOSAL, None, Pace(), EMULATOR, True),
    ],
)
def test_the_start_of_chains_is_kept_whole(tmp_path, start):
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.start(0) is None
    checkpoint.save_start(0, start)
    same(start, checkpoint.start(0))
