"""The commands, one per file; `ridgebayes.cli.main` lists them."""
