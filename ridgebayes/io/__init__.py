"""Files: written whole or not at all, opened with bounds."""
