"""Losses that training knows: one family a file."""
