"""The game bridge: frames, motion vectors and depth from another program, through shared memory.

``layout.py`` says what lies where; ``allaprima_bridge.h`` beside it writes the same from C.
"""

from __future__ import annotations

from .layout import MotionLayout, Origin, PixelFormat
from .writer import BridgeWriter

__all__ = ["BridgeWriter", "MotionLayout", "Origin", "PixelFormat"]
