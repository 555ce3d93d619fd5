"""Engines: one a file."""
