"""Models of the ISGRI detector rate, one a file."""
