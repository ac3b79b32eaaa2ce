"""A run: sampled, assembled, written, read again, brought up to date."""
