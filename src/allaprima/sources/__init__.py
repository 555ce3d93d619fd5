"""Sources: one a file."""
