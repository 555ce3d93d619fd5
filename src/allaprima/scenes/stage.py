"""Flat textured layers under a moving camera: drawn back to front, with the exact motion of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels

Affine = NDArray[np.float64]
"""float64, 3×3, last row 0 0 1: maps x, y (pixel centers at whole numbers) to x, y."""
Plane = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 360

_OPAQUE = 250
_CLEAR = 5
_MIXED = 255


def affine(
    *, shift: tuple[float, float] = (0, 0), scale: float = 1, turn: float = 0, shear: float = 0, squash: float = 1
) -> Affine:
    """Squash in y, shear x along y, scale, turn (radians, clockwise on the screen), then shift."""
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    similar = np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]], np.float64)
    result: Affine = similar @ np.array([[1, shear, 0], [0, squash, 0], [0, 0, 1]], np.float64)
    return result


def about(center: tuple[float, float], matrix: Affine) -> Affine:
    """The same map with ``center`` as its origin."""
    x, y = center
    return affine(shift=(x, y)) @ matrix @ affine(shift=(-x, -y))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A texture and where it is."""

    texture: NDArray[np.uint8]
    """uint8, H×W×4, RGB and straight alpha; colors reach past the edge of the alpha, so that no fringe shows."""
    place: Callable[[float], Affine]
    """Seconds to the map from texture to frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a clip shows."""

    layers: tuple[Layer, ...]
    """Back to front, at most 200; the first is opaque and always covers the frame."""
    light: Callable[[float], float] | None = None
    """Seconds to the factor on all pixel values; None keeps them. Motion says nothing of light."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One rendered moment."""

    pixels: Pixels
    places: tuple[Affine, ...]
    front: Plane
    """Index of the front-most layer that covers more than half of the pixel."""
    pure: Plane
    """The same, or 255 where the pixel mixes layers."""


_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


def _window(place: Affine, texture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of the frame that the texture can touch."""
    h, w = texture.shape[:2]
    corners = place[:2] @ np.array([[-1, w, w, -1], [-1, -1, h, h], [1, 1, 1, 1]], dtype=np.float64)
    low, high = np.floor(corners.min(axis=1)), np.ceil(corners.max(axis=1)) + 1
    return max(int(low[0]), 0), max(int(low[1]), 0), min(int(high[0]), WIDTH), min(int(high[1]), HEIGHT)


def shoot(scene: Scene, seconds: float) -> Shot:
    """Draw the scene as it is at a time."""
    canvas = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    front = np.zeros((HEIGHT, WIDTH), np.uint8)
    pure = np.zeros((HEIGHT, WIDTH), np.uint8)
    places = tuple(layer.place(seconds) for layer in scene.layers)
    for index, (layer, place) in enumerate(zip(scene.layers, places, strict=True)):
        left, top, right, bottom = _window(place, layer.texture)
        if left >= right or top >= bottom:
            continue
        drawn = cv2.warpAffine(
            layer.texture,
            (affine(shift=(-left, -top)) @ place)[:2],
            (right - left, bottom - top),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE if index == 0 else cv2.BORDER_CONSTANT,
        )
        alpha = drawn[..., 3]
        window = np.s_[top:bottom, left:right]
        opaque = alpha >= _OPAQUE
        rows, columns = np.nonzero((alpha > _CLEAR) & ~opaque)
        weight = alpha[rows, columns, None].astype(np.float32) / 255
        under = canvas[window][rows, columns].astype(np.float32)
        mixed = under + (drawn[rows, columns] - under) * weight + 0.5
        np.copyto(canvas[window].view(np.uint32), drawn.view(np.uint32), where=opaque[..., None])
        canvas[window][rows, columns] = mixed.astype(np.uint8)
        np.copyto(front[window], index, where=alpha >= 128)
        np.copyto(pure[window], index, where=opaque)
        pure[window][rows, columns] = _MIXED
    pixels = np.ascontiguousarray(canvas[..., :3])
    if scene.light is not None:
        gain = scene.light(seconds)
        pixels = np.clip(np.arange(256) * gain + 0.5, 0, 255).astype(np.uint8)[pixels]
    return Shot(pixels, places, front, pure)


def motion_between(before: Shot, now: Shot) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Exact motion and visibility.

    Returns:
        motion: float32, H×W×2, pixels: pixel p of ``now`` was at p − motion(p) in ``before``.
        mask: bool, H×W: true where that point was in the picture, and it and its eight neighbors showed the same
            layer, unmixed.
    """
    table = np.zeros((6, 256), np.float32)
    for index, (old, new) in enumerate(zip(before.places, now.places, strict=True)):
        # Identity is exact where nothing moved: no rounding from the inverse.
        table[:, index] = 0 if np.array_equal(old, new) else (np.eye(3) - old @ np.linalg.inv(new))[:2].ravel()
    a = [cv2.LUT(now.front, row) for row in table]
    motion = np.empty((HEIGHT, WIDTH, 2), np.float32)
    motion[..., 0] = a[0] * _X + a[1] * _Y + a[2]
    motion[..., 1] = a[3] * _X + a[4] * _Y + a[5]

    kernel = np.ones((3, 3), np.uint8)
    uniform = cv2.dilate(before.pure, kernel) == cv2.erode(before.pure, kernel)
    known = np.full_like(before.pure, _MIXED)
    known[1:-1, 1:-1] = np.where(uniform, before.pure, _MIXED)[1:-1, 1:-1]
    was = cv2.remap(
        known,
        _X - motion[..., 0],
        _Y - motion[..., 1],
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_MIXED,
    )
    mask = (was == now.pure) & (now.pure != _MIXED)
    return motion, mask
