"""The commands, one a file; `ridgebayes.cli` gathers them."""
