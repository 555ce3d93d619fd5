"""Rendered clips with exact motion. Nothing is read from disk; the same bytes come out every time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from .harbor import harbor
from .meadow import light, objects, pan, parallax, rotation, zoom
from .stage import Scene

SCENES: dict[str, Callable[[], Scene]] = {
    "harbor": harbor,
    "pan": pan,
    "zoom": zoom,
    "rotation": rotation,
    "parallax": parallax,
    "objects": objects,
    "light": light,
}
"""Every scene by name; the first is the default."""

DEFAULT = next(iter(SCENES))


@cache
def paint_scene(name: str) -> Scene:
    """Paint a scene's textures; kept, since that takes a second or two.

    Args:
        name: a key of :data:`SCENES`.
    """
    return SCENES[name]()
