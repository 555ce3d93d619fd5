"""Simple scenes, each with one kind of motion: what flicker is measured on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from .brush import Canvas, Color, ramp
from .camera import CENTER, Wander, resting
from .foreground import FLOWERS
from .stage import Affine, Layer, Scene, about, affine

_LEAVES: tuple[Color, ...] = ((196, 122, 52), (214, 164, 66), (158, 62, 48), (122, 130, 62), (226, 190, 122))


def _meadow() -> Canvas:
    """A meadow from above, larger than the frame on all sides."""
    rng = np.random.default_rng(7)
    sheet = Canvas(-180, -240, 860, 600)
    field = sheet.noise((170, 130), 7, rng)
    sheet.fill(ramp(field, [(-1, (58, 84, 62)), (-0.2, (92, 116, 66)), (0.3, (148, 148, 84)), (1, (204, 176, 112))]))
    sheet.shade(0.14 * sheet.noise((5, 7), 4, rng))
    for _ in range(7000):
        x, y = float(rng.uniform(sheet.left, 860)), float(rng.uniform(sheet.top, 600))
        tone = float(rng.uniform(0.55, 1.25))
        size, turn = float(rng.uniform(1.5, 6)), float(rng.uniform(0, 180))
        sheet.dab(x, y, size, size * 0.24, (112 * tone, 132 * tone, 70 * tone), turn=turn)
    for _ in range(60):
        center_x, center_y = float(rng.uniform(sheet.left, 860)), float(rng.uniform(sheet.top, 600))
        kind = FLOWERS[int(rng.integers(len(FLOWERS)))]
        for dx, dy in rng.normal(0, 22, (14, 2)):
            _flower(sheet, center_x + float(dx), center_y + float(dy), float(rng.uniform(1.2, 4.6)), kind, rng=rng)
    return sheet


def _flower(sheet: Canvas, x: float, y: float, size: float, color: Color, *, rng: np.random.Generator) -> None:
    start, tone = float(rng.uniform(0, 72)), float(rng.uniform(0.75, 1.05))
    sheet.dab(x + size * 0.5, y + size * 0.6, size * 1.2, size * 1.2, (60, 80, 54))
    for turn in np.arange(start, start + 360, 72):
        along = np.deg2rad(turn)
        at = (x + size * 0.75 * float(np.cos(along)), y + size * 0.75 * float(np.sin(along)))
        light = tone * (1 - 0.14 * float(np.sin(along)))
        petal: Color = (min(color[0] * light, 255), min(color[1] * light, 255), min(color[2] * light, 255))
        sheet.dab(*at, size * 0.8, size * 0.5, petal, turn=float(turn))
    sheet.dab(x, y, size * 0.4, size * 0.4, (250, 214, 110))


def _leaf(length: float, color: Color, seed: int) -> Canvas:
    """One fallen leaf about the origin, its tip to the right."""
    rng = np.random.default_rng(seed)
    sheet = Canvas(-0.62 * length, -0.36 * length, 0.62 * length, 0.36 * length)
    along = np.linspace(-0.5, 0.5, 60)
    wide = 0.27 * np.cos(np.pi * along) ** 0.8 * (1 + 0.12 * np.abs(np.sin(along * 34)))
    edge = [(float(x), float(y)) for x, y in zip(along, -wide, strict=True)]
    edge += [(float(x), float(y)) for x, y in zip(along[::-1], wide[::-1], strict=True)]
    sheet.polygon([(x * length, y * length) for x, y in edge], color)
    lower = [(float(x) * length, float(y) * length) for x, y in zip(along, wide, strict=True)]
    sheet.polygon([*lower, (-0.5 * length, 0)], (color[0] * 0.8, color[1] * 0.76, color[2] * 0.78))
    pale: Color = (min(color[0] * 1.2 + 20, 255), min(color[1] * 1.2 + 20, 255), color[2] * 1.1 + 16)
    for x in np.arange(-0.4, 0.4, 0.09):
        for side in (-1, 1):
            reach = 0.19 * float(np.cos(np.pi * x))
            sheet.line([(x * length, 0), ((x + 0.09) * length, side * reach * length)], pale, 0.012 * length)
    sheet.line([(-0.6 * length, 0), (0.48 * length, 0)], pale, 0.022 * length)
    sheet.shade(0.13 * sheet.noise(0.16 * length, 5, rng))
    return sheet


def _drift(at: tuple[float, float], speed: tuple[float, float], turn: float, spin: float) -> Wander:
    def way(seconds: float) -> Affine:
        shift = (at[0] + speed[0] * seconds, at[1] + speed[1] * seconds)
        return affine(shift=shift, turn=turn + spin * seconds)

    return way


@cache
def _plane() -> Layer:
    """The meadow at rest: painted once, shared by all these scenes."""
    return resting(_meadow(), lambda _: np.eye(3))


def _moving_plane(way: Wander) -> Layer:
    plane = _plane()
    return Layer(plane.texture, lambda seconds: way(seconds) @ plane.place(seconds))


def _ground(way: Wander, light: Callable[[float], float] | None = None) -> Scene:
    return Scene((_moving_plane(way),), light)


def pan() -> Scene:
    """A plane that slides 1.6 px right to left and 0.5 px upward a frame."""
    return _ground(lambda seconds: affine(shift=(-37.3 * seconds, -11.3 * seconds)))


def zoom() -> Scene:
    """A plane that grows 6 % a second about the middle."""
    return _ground(lambda seconds: about(CENTER, affine(scale=float(np.exp(0.06 * seconds)))))


def rotation() -> Scene:
    """A plane that turns 4.6 degrees a second about the middle."""
    return _ground(lambda seconds: about(CENTER, affine(turn=0.08 * (seconds - 2))))


def light() -> Scene:
    """A plane that slides slowly while its light swells and fades by a quarter, once in two seconds."""
    return _ground(
        lambda seconds: affine(shift=(-14.7 * seconds, 4.1 * seconds)),
        lambda seconds: 1 + 0.25 * float(np.sin(np.pi * seconds)),
    )


def parallax() -> Scene:
    """A camera that slides over a meadow, with leaves at six distances above it."""
    rng = np.random.default_rng(11)
    layers = [_moving_plane(lambda seconds: affine(shift=(-15.0 * seconds, 0)))]
    for index, near in enumerate(np.repeat((0.35, 0.5, 0.7, 0.85, 1.0, 1.25), 3)):
        sheet = _leaf(60 + 90 * float(near), _LEAVES[index % len(_LEAVES)], index)
        at = (float(rng.uniform(-20, 860)), 40 + 140 * (index % 3) + float(rng.uniform(-50, 50)))
        turn = float(rng.uniform(0, 6))
        layers.append(resting(sheet, _drift(at, (-60 * float(near), 0), turn, 0)))
    return Scene(tuple(layers))


def objects() -> Scene:
    """Leaves that drift and turn over a meadow at rest."""
    rng = np.random.default_rng(5)
    layers = [_plane()]
    for index in range(9):
        sheet = _leaf(float(rng.uniform(70, 150)), _LEAVES[index % len(_LEAVES)], index)
        at = (
            90 + 230 * (index % 3) + float(rng.uniform(-50, 50)),
            60 + 120 * (index // 3) + float(rng.uniform(-35, 35)),
        )
        speed = (float(rng.uniform(-46, 46)), float(rng.uniform(-24, 24)))
        layers.append(resting(sheet, _drift(at, speed, float(rng.uniform(0, 6)), float(rng.uniform(-0.5, 0.5)))))
    return Scene(tuple(layers))
