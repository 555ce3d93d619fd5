"""What stands nearest: a bank with grass and flowers, and the branches of a pine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .brush import Canvas, Color, noise, ramp

FLOWERS: tuple[Color, ...] = (
    (214, 62, 48),
    (236, 96, 62),
    (240, 206, 92),
    (246, 232, 214),
    (150, 112, 178),
    (190, 90, 140),
)


def bank(rng: np.random.Generator) -> Canvas:
    """Grass and flowers along the lower edge, higher on the left."""
    sheet = Canvas(-230, 268, 900, 424)
    x = sheet.x[0]
    crest = 330 - 26 * np.exp(-(((x - 10) / 170) ** 2)) - 16 * np.exp(-(((x - 690) / 150) ** 2)) + 4 * np.sin(x / 41)
    crest = crest + 3 * noise((4, x.size), (30 * sheet.scale, 1e6), 4, rng)[0]
    depth = sheet.y - crest[None]
    color = ramp(depth.astype(np.float32), [(0, (118, 112, 62)), (16, (84, 90, 54)), (60, (46, 60, 46))])
    sheet.fill(color, depth > 0)
    sheet.shade(0.25 * sheet.noise((20, 10), 6, rng), depth > 0)

    def top(at: float) -> float:
        return float(np.interp(at, x, crest))

    for below in np.sort(rng.uniform(-1, 92, 9000) ** 1.0):
        at = float(rng.uniform(-230, 900))
        y, size = top(at) + float(below), 5 + 0.12 * float(below)
        bend = float(rng.normal(0.15, 0.35)) * size
        warm = float(np.clip(rng.normal(0.42, 0.25) - 0.004 * below, 0, 1))
        blade: Color = (58 + 150 * warm, 74 + 98 * warm, 44 + 34 * warm)
        tip = y - size * float(rng.uniform(0.7, 1.5))
        sheet.line([(at, y), (at + bend * 0.35, (y + tip) / 2), (at + bend, tip)], blade, 0.55 + 0.006 * float(below))
    clusters = rng.uniform(-230, 900, 46)
    kinds = rng.integers(len(FLOWERS), size=46)
    for below in np.sort(rng.uniform(-6, 70, 1150)):
        pick = int(rng.integers(46))
        at = float(clusters[pick] + rng.normal(0, 16))
        petal = FLOWERS[int(kinds[pick])] if rng.uniform() < 0.85 else FLOWERS[int(rng.integers(len(FLOWERS)))]
        y, size = top(at) + float(below), float(rng.uniform(0.9, 1.5)) * (1.15 + 0.016 * float(below))
        tone = float(rng.uniform(0.7, 1.0))
        sheet.line([(at, y), (at + 0.6, y + 6)], (74, 92, 52), 0.5)
        for turn in rng.uniform(0, 180, 3):
            sheet.dab(at, y, size, size * 0.5, (petal[0] * tone, petal[1] * tone, petal[2] * tone), turn=float(turn))
        light: Color = (min(petal[0] * 1.1 + 14, 255), min(petal[1] * 1.1 + 26, 255), min(petal[2] * 1.05 + 12, 255))
        sheet.dab(at + size * 0.25, y - size * 0.3, size * 0.45, size * 0.35, light)
    return sheet


def pine(rng: np.random.Generator) -> Canvas:
    """Branches hanging in from the upper left, back to the sun on their right."""
    sheet = Canvas(-260, -90, 240, 150)
    boughs: list[tuple[tuple[float, float], tuple[float, float]]] = [
        ((-200, -10), (70, 18)),
        ((-200, -40), (130, -6)),
        ((-200, 20), (16, 58)),
        ((-200, -70), (190, -34)),
    ]
    for start, end in boughs:
        line = [
            (
                start[0] + t * (end[0] - start[0]),
                start[1] + t * (end[1] - start[1]) + 7 * float(np.sin(t * 7 + start[1])) + 16 * t * t,
            )
            for t in np.linspace(0, 1, 30)
        ]
        for i, (a, b) in enumerate(pairwise(line)):
            sheet.line([a, b], (74, 52, 46), 5.5 - 0.16 * i)
            sheet.line([(a[0], a[1] - 1), (b[0], b[1] - 1)], (142, 98, 70), 1.2)
        for _ in range(150):
            t = float(rng.uniform(0.15, 1.0))
            x, y = line[int(t * 29)]
            x, y = x + float(rng.normal(0, 11)), y + float(rng.normal(-1, 6.5))
            warm = float(np.clip(rng.normal(0.25, 0.28) + 0.2 * t, 0, 1))
            for angle in rng.uniform(0, 2 * np.pi, 15):
                reach = float(rng.uniform(4, 8.5))
                needle: Color = (38 + 128 * warm, 56 + 86 * warm, 42 + 28 * warm)
                tip = (x + reach * float(np.cos(angle)), y + 0.75 * reach * float(np.sin(angle)))
                sheet.line([(x, y), tip], needle, 0.7)
    return sheet
