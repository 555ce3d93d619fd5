"""The same frames in several styles, side by side: sheets, clips and animated GIFs."""

from __future__ import annotations

from .columns import Column, Comparison, Zoom
from .runs import SHEETS, compare_clip, compare_sheet

__all__ = ["SHEETS", "Column", "Comparison", "Zoom", "compare_clip", "compare_sheet"]
