"""Finished styles made smaller and faster."""
