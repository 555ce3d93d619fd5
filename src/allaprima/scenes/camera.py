"""The camera of the painted scenes: pans, zooms and leans gently, so that every layer moves by an affine map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .brush import DENSITY, Canvas
from .stage import HEIGHT, WIDTH, Affine, Layer, about, affine

CENTER = (WIDTH / 2, HEIGHT / 2)
Wander = Callable[[float], Affine]


def _pan(seconds: float) -> float:
    """How far the camera has moved right, in scene units at the nearest layer; an uneven hand, never still."""
    return 46 * (seconds - 2) + 9 * float(np.sin(1.9 * seconds))


def _look(seconds: float) -> Affine:
    """Zoom, lean and sway, the same for every layer."""
    zoom = 1.06 + 0.07 * float(np.sin(0.75 * seconds - 1.2))
    lean = 0.012 * float(np.sin(1.1 * seconds + 0.4))
    sway = 2.5 * float(np.sin(1.6 * seconds))
    return about(CENTER, affine(scale=zoom, turn=lean)) @ affine(shift=(0, sway))


def _rest(canvas: Canvas) -> Affine:
    """Texture pixels to frame pixels; the middle of frame pixel 0 is at half a scene unit."""
    return affine(shift=(canvas.left + 0.5 / DENSITY - 0.5, canvas.top + 0.5 / DENSITY - 0.5), scale=1 / DENSITY)


def resting(canvas: Canvas, wander: Wander) -> Layer:
    """A canvas before a camera that stands still, moved by its own way alone."""
    rest = _rest(canvas)
    return Layer(canvas.texture(), lambda seconds: wander(seconds) @ rest)


def layer(canvas: Canvas, near: float, wander: Wander | None = None) -> Layer:
    """A canvas at a distance.

    Args:
        canvas: what is painted, in scene units.
        near: how much of the camera's pan it shows, 0 at infinity to 1.
        wander: the object's own way in scene units; None stays.
    """
    rest = _rest(canvas)

    def place(seconds: float) -> Affine:
        own = np.eye(3) if wander is None else wander(seconds)
        result: Affine = _look(seconds) @ affine(shift=(-near * _pan(seconds), 0)) @ own @ rest
        return result

    return Layer(canvas.texture(), place)


def ground(canvas: Canvas, horizon: float, nearest: float) -> Layer:
    """A level plane seen from the side of the pan: the nearer the row, the faster, which is exactly a shear.

    Args:
        canvas: what is painted, in scene units.
        horizon: scene y where the plane is infinitely far.
        nearest: scene y that shows the whole pan.
    """
    rest = _rest(canvas)

    def place(seconds: float) -> Affine:
        slant = affine(shear=-_pan(seconds) / (nearest - horizon))
        result: Affine = _look(seconds) @ about((0, horizon), slant) @ rest
        return result

    return Layer(canvas.texture(), place)
