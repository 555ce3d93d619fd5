"""The harbor's houses, quay, church and lighthouse; the low sun stands to the right."""

from __future__ import annotations

import numpy as np

from .brush import Canvas, Color, mix

WALLS: tuple[Color, ...] = (
    (236, 196, 138),
    (228, 158, 112),
    (240, 218, 182),
    (214, 138, 118),
    (196, 182, 158),
    (232, 180, 96),
    (186, 196, 186),
    (244, 208, 160),
)
ROOFS: tuple[Color, ...] = ((178, 92, 62), (164, 82, 66), (192, 108, 68), (150, 84, 72), (120, 92, 96))
SHUTTERS: tuple[Color, ...] = ((78, 112, 106), (92, 124, 146), (126, 74, 62), (96, 118, 82))


def _dim(color: Color, factor: float, cool: float = 0.0) -> Color:
    """Darker, and bluer by ``cool``."""
    r, g, b = (channel * factor for channel in color)
    return (r * (1 - cool), g * (1 - 0.5 * cool), b * (1 + 0.3 * cool))


def _window(sheet: Canvas, x: float, y: float, size: float, shutter: Color, *, rng: np.random.Generator) -> None:
    w, h = 1.5 * size, 2.5 * size
    lit = rng.uniform() < 0.24
    sheet.box(x - w - 0.3, y - h - 0.4, x + w + 0.3, y + h + 0.4, (240, 224, 196))
    glass: Color = (255, 214, 120) if lit else _dim((86, 98, 118), float(rng.uniform(0.75, 1.15)))
    sheet.box(x - w, y - h, x + w, y + h, glass)
    sheet.box(x - w, y - h, x + w, y - h + 0.7, _dim(glass, 0.7))
    sheet.line([(x, y - h), (x, y + h)], (226, 206, 178), 0.45)
    if rng.uniform() < 0.7:
        for left in (x - w - 1.9, x + w + 0.3):
            sheet.box(left, y - h - 0.2, left + 1.6, y + h + 0.2, shutter)
            for slat in np.arange(y - h + 0.6, y + h, 1.0):
                sheet.line([(left, slat), (left + 1.6, slat)], _dim(shutter, 0.72), 0.35)


def _roof(
    sheet: Canvas, left: float, right: float, eave: float, rise: float, *, color: Color, rng: np.random.Generator
) -> None:
    inset = min(0.2 * (right - left), 5)
    ridge = eave - rise
    sheet.polygon([(left - 1.4, eave), (left + inset, ridge), (right - inset, ridge), (right + 1.4, eave)], color)
    rows = max(int(rise / 1.5), 3)
    for row in range(rows):
        y = ridge + (row + 0.5) * rise / rows
        edge = inset * (1 - (row + 0.5) / rows) - 1.4 * (row + 0.5) / rows
        for x in np.arange(left + edge, right - edge - 1, 1.9):
            sheet.line([(x, y), (x + 1.4, y + 0.3)], _dim(color, float(rng.uniform(0.72, 1.28))), 0.8)
    sheet.polygon([(right - inset, ridge), (right + 1.4, eave), (right - inset * 0.4, eave)], _dim(_warm(color), 1.12))
    sheet.line([(left - 1.4, eave + 0.3), (right + 1.4, eave + 0.3)], _dim(color, 0.55), 0.8)


def _warm(color: Color) -> Color:
    """Toward the color of the sun."""
    r, g, b = mix(np.asarray(color, np.float32), (255, 206, 138), 0.35)
    return (float(r), float(g), float(b))


def _house(sheet: Canvas, left: float, base: float, width: float, height: float, *, rng: np.random.Generator) -> None:
    wall = WALLS[rng.integers(len(WALLS))]
    wall = _dim(wall, float(rng.uniform(0.86, 1.0)))
    roof = ROOFS[rng.integers(len(ROOFS))]
    shutter = SHUTTERS[rng.integers(len(SHUTTERS))]
    right, top = left + width, base - height
    sheet.box(left, top, right, base, _dim(wall, 0.9))
    sheet.box(left, top, left + width * 0.12, base, _dim(wall, 0.7, 0.12))
    sheet.box(right - width * 0.2, top, right, base, _warm(wall))
    sheet.box(left, top, right, top + 1.6, _dim(wall, 0.62, 0.1))
    sheet.box(left, base - 2.2, right, base, _dim(wall, 0.66, 0.1))
    size = float(rng.uniform(0.85, 1.1))
    columns, rows = max(int(width / (8.5 * size)), 1), max(int(height / (10.0 * size)), 1)
    for row in range(rows):
        for column in range(columns):
            x = left + (column + 0.5) * width / columns
            y = top + 3 + (row + 0.45) * (height - 3) / rows
            if row == rows - 1 and column == int(columns / 2):
                sheet.box(x - 2.0, y - 2.4, x + 2.0, base, (236, 216, 184))
                sheet.box(x - 1.5, y - 1.8, x + 1.5, base, _dim(shutter, 0.75))
            else:
                _window(sheet, x, y, size, shutter, rng=rng)
    _roof(sheet, left, right, top, float(rng.uniform(5.5, 9.5)), color=roof, rng=rng)
    chimney = left + width * float(rng.uniform(0.25, 0.75))
    sheet.box(chimney, top - 12, chimney + 2.6, top - 5, _dim(roof, 0.9))
    sheet.box(chimney + 1.7, top - 12, chimney + 2.6, top - 5, _warm(roof))
    sheet.box(chimney - 0.4, top - 12.6, chimney + 3.0, top - 11.6, _dim(roof, 0.65))


def _cypress(sheet: Canvas, x: float, base: float, height: float, rng: np.random.Generator) -> None:
    for _ in range(int(height * 7)):
        along = float(rng.uniform(0, 1))
        wide = height * 0.11 * float(np.sin(np.pi * min(along * 0.86 + 0.1, 1))) + 0.4
        side = float(rng.uniform(-1, 1))
        warm = max(side, 0) * float(rng.uniform(0.2, 1.0))
        color: Color = (52 + 96 * warm, 66 + 70 * warm, 58 + 18 * warm)
        sheet.dab(x + side * wide, base - along * height, 0.5, 1.5, color, turn=float(rng.uniform(-20, 20)))


def _bush(sheet: Canvas, x: float, base: float, size: float, rng: np.random.Generator) -> None:
    for _ in range(int(size * 26)):
        dx, dy = rng.normal(0, 0.42, 2) * size
        warm = float(np.clip(0.5 * dx / size - 0.6 * dy / size + rng.uniform(-0.2, 0.5), 0, 1))
        color: Color = (62 + 118 * warm, 78 + 82 * warm, 56 + 26 * warm)
        sheet.dab(x + dx, base - size * 0.7 + dy, 1.3, 0.9, color, turn=float(rng.uniform(0, 180)))


def _quay(sheet: Canvas, left: float, right: float, top: float, bottom: float, *, rng: np.random.Generator) -> None:
    sheet.box(left, top - 2.4, right, top, (226, 196, 156))
    sheet.box(left, top, right, bottom, (142, 118, 104))
    y, row = float(top), 0
    while y < bottom:
        x = left - 4 + 3.2 * (row % 2)
        while x < right:
            w = float(rng.uniform(4.5, 8))
            tone = float(rng.uniform(0.78, 1.2)) * (1 - 0.35 * (y - top) / (bottom - top))
            edge = min(x + w - 0.5, right)
            if edge > left:
                sheet.box(max(x, left), y, edge, y + 2.1, (176 * tone, 148 * tone, 124 * tone))
            x += w
        y, row = y + 2.6, row + 1
    sheet.box(left, bottom - 1.6, right, bottom, (62, 74, 66))


def _church(sheet: Canvas, x: float, base: float, rng: np.random.Generator) -> None:
    wall: Color = (238, 206, 160)
    sheet.box(x - 24, base - 34, x + 12, base, _dim(wall, 0.86))
    sheet.box(x - 24, base - 34, x - 19, base, _dim(wall, 0.66, 0.12))
    _roof(sheet, x - 25, x + 12, base - 34, 11, color=ROOFS[0], rng=rng)
    for at in (-15, -6, 3):
        sheet.dab(x + at, base - 20, 1.8, 4.5, (92, 88, 102))
    left, right = x + 8, x + 22
    sheet.box(left, base - 78, right, base, _dim(wall, 0.92))
    sheet.box(left, base - 78, left + 4, base, _dim(wall, 0.68, 0.12))
    sheet.box(right - 4, base - 78, right, base, _warm(_warm(wall)))
    for y in (base - 78, base - 60, base - 40):
        sheet.box(left - 1, y - 1.2, right + 1, y + 0.8, _dim(wall, 0.78))
    for arch in (left + 4.5, left + 9.5):
        sheet.dab(arch, base - 68, 1.6, 4.6, (70, 66, 82))
    sheet.dab(x + 15, base - 50, 3.2, 3.2, (250, 238, 214))
    sheet.line([(x + 15, base - 50), (x + 15, base - 52.4)], (70, 60, 60), 0.5)
    sheet.line([(x + 15, base - 50), (x + 16.8, base - 49.4)], (70, 60, 60), 0.5)
    sheet.polygon([(left - 1.4, base - 79), (x + 15, base - 98), (right + 1.4, base - 79)], ROOFS[1])
    sheet.polygon([(x + 15, base - 98), (right + 1.4, base - 79), (x + 17, base - 79)], _warm(ROOFS[2]))
    sheet.line([(x + 15, base - 97), (x + 15, base - 104)], (84, 70, 66), 0.7)


def town(shore: float, rng: np.random.Generator) -> Canvas:
    """Houses in three rows up a slope, with a church, trees and a stone quay that ends in the water at ``shore``."""
    sheet = Canvas(-130, 84, 350, shore + 4)
    end = 316.0
    slope = [
        (-140.0, 160.0),
        (40.0, 156.0),
        (150.0, 168.0),
        (230.0, 186.0),
        (end, 208.0),
        (end, 214.0),
        (-140.0, 214.0),
    ]
    sheet.polygon(slope, (120, 116, 84))
    for x in np.arange(-130, 235, 4.2):
        base = float(np.interp(x, [-140, 40, 150, 230, end], [160, 156, 168, 186, 208]))
        _bush(sheet, float(x), base + 3, float(rng.uniform(2.5, 5)), rng)
    for rise, far in ((34.0, 170.0), (19.0, 232.0), (3.0, end - 12)):
        if rise == 19.0:
            _church(sheet, 96, shore - 30, rng)
        x = -128 + float(rng.uniform(0, 10))
        while x < far - 20:
            width = float(rng.uniform(17, 32))
            height = float(rng.uniform(19, 34)) * (0.86 if rise > 3 else 1.0)
            if rng.uniform() < 0.18:
                _cypress(sheet, x + 3, shore - 6 - rise, float(rng.uniform(20, 34)), rng)
                _bush(sheet, x + 9, shore - 6 - rise, 5, rng)
                x += 8
            else:
                _house(sheet, x, shore - 8 - rise + float(rng.uniform(-2, 1)), width, height, rng=rng)
                x += width + float(rng.uniform(-0.5, 1.5))
    for x in rng.uniform(-120, end - 20, 9):
        _bush(sheet, float(x), shore - 8, float(rng.uniform(2.5, 4.5)), rng)
    sheet.shade(0.05 * sheet.noise(14, 5, rng) + 0.05 * sheet.noise((3, 1.5), 3, rng))
    _quay(sheet, -140, end, shore - 9, shore + 3, rng=rng)
    for x in np.arange(-120, end, 27.0):
        sheet.line([(x, shore - 9), (x, shore - 24)], (66, 58, 62), 0.9)
        sheet.dab(x, shore - 25, 1.4, 1.7, (255, 226, 150))
    for x in rng.uniform(-120, end - 6, 26):
        coat = WALLS[rng.integers(len(WALLS))] if rng.uniform() < 0.5 else SHUTTERS[rng.integers(len(SHUTTERS))]
        sheet.dab(float(x), shore - 12.6, 0.9, 2.4, _dim(coat, 0.8))
        sheet.dab(float(x), shore - 15.6, 0.75, 0.85, (196, 142, 112))
    return sheet


def mole(shore: float, rng: np.random.Generator) -> Canvas:
    """A breakwater of rocks from the right, with a striped lighthouse at its end."""
    sheet = Canvas(500, 96, 800, shore + 6)
    for _ in range(1100):
        x = float(rng.uniform(536, 800))
        top = shore - min((x - 530) * 0.4, 9)
        y = float(rng.uniform(top, shore + 2))
        tone = float(rng.uniform(0.62, 1.1)) * (1 - 0.03 * (y - top))
        size = float(rng.uniform(1.4, 3.4))
        sheet.dab(x, y, size, size * 0.7, (122 * tone, 104 * tone, 104 * tone), turn=float(rng.uniform(-30, 30)))
        sheet.dab(x - size * 0.3, y - size * 0.28, size * 0.5, size * 0.26, (214 * tone, 164 * tone, 120 * tone))
    x, base = 566.0, shore - 7
    for band in range(6):
        low, high = base - band * 9.5, base - (band + 1) * 9.5
        a, b = 6.6 - band * 0.5, 6.6 - (band + 1) * 0.5
        color: Color = (240, 226, 206) if band % 2 else (196, 84, 64)
        sheet.polygon([(x - a, low), (x - b, high), (x + b, high), (x + a, low)], _dim(color, 0.84))
        sheet.polygon([(x - a, low), (x - b, high), (x - b * 0.4, high), (x - a * 0.4, low)], _warm(color))
        sheet.polygon([(x + a * 0.5, low), (x + b * 0.5, high), (x + b, high), (x + a, low)], _dim(color, 0.62, 0.12))
    top = base - 57
    sheet.box(x - 5.6, top - 1.6, x + 5.6, top + 0.6, (92, 80, 84))
    sheet.box(x - 3.2, top - 8, x + 3.2, top - 1.6, (255, 232, 162))
    for at in (-3.2, 0, 3.2):
        sheet.line([(x + at, top - 8), (x + at, top - 1.6)], (92, 74, 74), 0.6)
    sheet.polygon([(x - 4.4, top - 8), (x, top - 14), (x + 4.4, top - 8)], (170, 72, 60))
    sheet.shade(0.05 * sheet.noise(8, 4, rng))
    return sheet
