"""Sinks: one a file."""
