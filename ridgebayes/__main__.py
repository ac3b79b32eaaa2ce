"""``python -m ridgebayes``: the command line."""

from ridgebayes.cli.main import main

if __name__ == "__main__":
    main(prog_name="ridgebayes")
