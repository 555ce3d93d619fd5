"""Instruments: how steady, how well, how fast."""
