"""The command line: ``ridgebayes COMMAND``."""
