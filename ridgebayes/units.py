"""The unit that astropy does not have."""

import astropy.units as u

MCRAB = u.def_unit("mCrab", doc="thousandth of the Crab's detector rate in the same band")
"""A thousandth of the Crab's rate in the same band and detector."""

u.add_enabled_units([MCRAB])
