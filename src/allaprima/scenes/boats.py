"""What moves through the harbor: sailing boats, a balloon, gulls. Each is drawn about its own origin."""

from __future__ import annotations

import numpy as np

from .brush import Canvas, Color, smoothstep


def _mirror(sheet: Canvas, depth: float, rng: np.random.Generator) -> None:
    """A broken reflection below y = 0: dashes in the colors that stand above."""
    k = sheet.scale
    zero = int(-sheet.top * k)
    y = 1.0
    while y < depth:
        step = 0.9 + 0.045 * y
        row = zero - int(y * 0.92 * k)
        if row < 0:
            break
        covered = np.flatnonzero(sheet.cover[row])
        if covered.size:
            left, right = covered[0] / k + sheet.left, covered[-1] / k + sheet.left
            x = left - 1
            while x < right:
                length = float(rng.uniform(3, 11))
                at = np.clip(int((x + length / 2 - sheet.left) * k), covered[0], covered[-1])
                tone = sheet.color[row, at].tolist()
                if rng.uniform() < 0.86 - 0.5 * y / depth and sheet.cover[row, at]:
                    color: Color = (0.66 * tone[0] + 12, 0.68 * tone[1] + 26, 0.7 * tone[2] + 34)
                    sway = 1.2 * float(np.sin(y * 1.1)) + float(rng.uniform(-0.8, 0.8))
                    sheet.dab(x + length / 2 + sway, y, length * 0.55, step * 0.42, color)
                x += length
        y += step


def sailboat(size: float, canvas: Color, hull: Color, rng: np.random.Generator) -> Canvas:
    """A boat with two sails, its waterline at y = 0, with its reflection.

    Args:
        size: 1 is 56 scene units high.
        canvas: color of the sails.
        hull: color of the hull.
        rng: for what varies.
    """
    sheet = Canvas(-34 * size, -62 * size, 34 * size, 46 * size)

    def p(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x * size, y * size) for x, y in points]

    r, g, b = canvas
    shade: Color = (r * 0.74, g * 0.7, b * 0.76)
    main = [(1.5, -55), (5.5, -42), (9.5, -27), (21, -8.5), (1.5, -7.5)]
    sheet.polygon(p(*main), canvas)
    sheet.polygon(p((1.5, -55), (3, -40), (4, -24), (8, -8), (1.5, -7.5)), shade)
    jib = [(-0.5, -50), (-5, -36), (-12, -20), (-21, -6.5), (-0.5, -9)]
    sheet.polygon(p(*jib), (r * 0.92, g * 0.88, b * 0.86))
    sheet.polygon(p((-0.5, -50), (-2.5, -34), (-5, -18), (-8, -7.8), (-0.5, -9)), (min(r * 1.05, 255), g, b * 0.96))
    for y in (-44, -35, -26, -17):
        sheet.line(p((1.5, y), ((y + 55) * 0.4 + 2.5, y + 1.5)), (r * 0.66, g * 0.6, b * 0.62), 0.5 * size)
    sheet.line(p((0.5, -57), (0.5, -3)), (96, 70, 56), 1.2 * size)
    sheet.line(p((0.5, -7.6), (21.5, -8.2)), (110, 80, 60), 0.9 * size)
    sheet.polygon(p((0.5, -60), (8, -58.4), (0.5, -56.8)), (206, 72, 58))
    deep: Color = (hull[0] * 0.62, hull[1] * 0.62, hull[2] * 0.66)
    sheet.polygon(p((-25, -6), (24, -5.4), (19, 0.4), (-17, 0.4)), hull)
    sheet.polygon(p((-22.3, -3), (21.6, -2.4), (19, 0.4), (-17, 0.4)), deep)
    sheet.line(p((-25, -6), (24, -5.4)), (246, 226, 190), 1.1 * size)
    sheet.box(-9 * size, -8.8 * size, -1 * size, -5.6 * size, (236, 214, 176))
    for x in (-7.2, -4.2):
        sheet.box(x * size, -8 * size, (x + 1.6) * size, -6.6 * size, (74, 84, 100))
    for x, coat in ((9, (62, 84, 110)), (13, (188, 76, 62))):
        sheet.dab(x * size, -7.6 * size, 1.3 * size, 2.6 * size, coat)
        sheet.dab(x * size, -11 * size, 1.1 * size, 1.2 * size, (214, 160, 124))
    sheet.shade(0.07 * sheet.noise((9, 4), 4, rng))
    _mirror(sheet, 44 * size, rng)
    return sheet


def balloon(rng: np.random.Generator) -> Canvas:
    """A striped balloon, its middle at the origin."""
    sheet = Canvas(-24, -28, 24, 42)
    x, y = sheet.x, sheet.y
    lower = np.clip(y / 27, 0, 1)
    width = np.sqrt(np.clip(1 - (y / np.where(y < 0, 22, 27)) ** 2, 0, 1)) * 21 * (1 - 0.16 * lower**2)
    inside = (np.abs(x) < width) & (y < 24.5)
    around = np.arcsin(np.clip(x / np.maximum(width, 0.1), -1, 1))
    stripe = np.floor((around + np.pi / 2) / np.pi * 8).astype(int).clip(0, 7)
    colors = np.array([(198, 70, 58), (244, 218, 170), (224, 150, 64), (60, 108, 122)], np.float32)
    color = colors[stripe % 4]
    band = np.abs(y + 1.5 * np.cos(around) + 2 + 0 * x) < 2.4
    color = np.where(band[..., None], np.array((250, 232, 196), np.float32), color)
    light = 0.62 + 0.5 * smoothstep(-1.2, 1.1, (around + 0.25).astype(np.float32)) - 0.16 * smoothstep(2, 24, y)
    sheet.fill((color * light[..., None]).astype(np.float32), inside)
    sheet.shade(0.05 * sheet.noise((5, 7), 4, rng))
    for side in (-1, 1):
        sheet.line([(side * 7.5, 24), (side * 2.8, 33)], (92, 70, 60), 0.5)
    sheet.box(-3.4, 33, 3.4, 38.5, (132, 92, 60))
    sheet.box(0.8, 33, 3.4, 38.5, (206, 148, 90))
    for at in (34.5, 36.2):
        sheet.line([(-3.4, at), (3.4, at)], (98, 66, 46), 0.4)
    sheet.line([(-3.6, 33), (3.6, 33)], (84, 58, 44), 0.9)
    return sheet


def gull(size: float, rng: np.random.Generator) -> Canvas:
    """A gull seen from the side with both wings up; squashed in y it beats them."""
    sheet = Canvas(-18 * size, -14 * size, 18 * size, 8 * size)

    def p(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x * size, y * size) for x, y in points]

    sheet.polygon(p((-1, 0), (-6, -7), (-11, -8.5), (-16.5, -6), (-10.5, -6), (-6.5, -3.4), (-4, 1.4)), (214, 206, 206))
    sheet.polygon(p((2, 0), (5, -8), (9.5, -11), (15.5, -10), (10.5, -7.4), (7.2, -3), (4, 1.8)), (250, 240, 224))
    for tip in (((-16.5, -6), (-11, -8.5), (-11.6, -6.4)), ((15.5, -10), (10.4, -10.9), (11.6, -8.2))):
        sheet.polygon(p(*tip), (70, 68, 80))
    sheet.polygon(p((-8, 2.6), (-3, -0.4), (4, -0.8), (8.5, 0.2), (4, 2.6), (-2, 3)), (252, 244, 232))
    sheet.polygon(p((-8, 2.6), (0, 1.6), (6, 1.6), (4, 2.6), (-2, 3)), (186, 170, 178))
    sheet.polygon(p((8.2, -0.2), (10.6, 0.6), (8, 0.9)), (228, 158, 70))
    sheet.shade(0.04 * sheet.noise(4, 3, rng))
    return sheet
