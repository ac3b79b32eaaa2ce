"""The ScW rate table: in memory, on disk, checked, summarised."""
