"""Campaigns: simulated missions of several worlds, fitted with several models and compared with the truth.

::

    from ridgebayes.campaign import read_plan, run_campaign
    found = run_campaign(read_plan("coverage.toml"), "runs/coverage", scheduler="local:4")
    print(found)
"""

from ridgebayes.campaign.plan import Case, Fit, Plan, read_plan
from ridgebayes.campaign.running import Campaign, open_campaign, run_campaign

__all__ = ["Campaign", "Case", "Fit", "Plan", "open_campaign", "read_plan", "run_campaign"]
