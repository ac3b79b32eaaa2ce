"""The classical estimate that products show beside the posterior."""

from __future__ import annotations

import click

no_classical_option = click.option(
    "--no-classical", is_flag=True, help="Leave the classical estimate out; it needs the fitted table."
)
