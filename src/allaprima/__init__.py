"""allaprima paints video in the style of a picture.

>>> import allaprima
>>> allaprima.stylize_video("in.mp4", "out.mp4", "great-wave")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import stylize_image, stylize_live, stylize_video
    from .errors import AllaprimaError
    from .painter import Painter
    from .source import open_source
    from .style import Style, open_style
    from .stylizer import Stylizer

_HOMES = {
    "AllaprimaError": ".errors",
    "Painter": ".painter",
    "Style": ".style",
    "Stylizer": ".stylizer",
    "open_source": ".source",
    "open_style": ".style",
    "stylize_image": ".api",
    "stylize_live": ".api",
    "stylize_video": ".api",
}

__all__ = [
    "AllaprimaError",
    "Painter",
    "Style",
    "Stylizer",
    "__version__",
    "open_source",
    "open_style",
    "stylize_image",
    "stylize_live",
    "stylize_video",
]


def __getattr__(name: str) -> Any:
    """Names are imported when first used: ``import allaprima`` loads no engine and no decoder."""
    if name not in _HOMES:
        raise AttributeError(f"module 'allaprima' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
