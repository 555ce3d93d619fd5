"""A small harbor at golden hour: the clip that is painted first."""

from __future__ import annotations

import cv2
import numpy as np

from .boats import balloon, gull, sailboat
from .brush import Canvas, Float, mix, noise, ramp, smoothstep
from .camera import Wander, ground, layer
from .foreground import bank, pine
from .stage import Affine, Scene, affine
from .town import mole, town

HORIZON = 186.0
SHORE = 216.0
SUN = (386.0, 151.0)


def _glow(canvas: Canvas, reach: float) -> Float:
    away = np.sqrt((canvas.x - SUN[0]) ** 2 + (canvas.y - SUN[1]) ** 2)
    result: Float = np.exp(-away / reach)
    return result


def _sky(rng: np.random.Generator) -> Canvas:
    sheet = Canvas(-70, -60, 720, 260, supersample=1)
    y = sheet.y + 10 * sheet.noise((300, 60), 3, rng)
    color = ramp(
        y,
        [
            (-40, (74, 112, 158)),
            (40, (112, 150, 180)),
            (100, (178, 190, 188)),
            (140, (236, 206, 164)),
            (175, (252, 208, 146)),
            (200, (250, 190, 132)),
        ],
    )
    color = mix(color, (255, 226, 160), 0.75 * _glow(sheet, 75))

    high = smoothstep(0.15, 1.0, sheet.noise((260, 16), 6, rng) + 0.1) * smoothstep(150, 60, y)
    color = mix(color, (250, 222, 200), 0.55 * high)
    for base, size, cover, seed in ((128.0, 1.0, 0.28, 0), (70.0, 1.6, 0.12, 1), (6.0, 2.4, -0.05, 2)):
        heap = sheet.noise((84 * size, 34 * size), 7, rng)
        band = np.exp(-(((sheet.y - base) / (20 * size)) ** 2))
        body = heap + 1.5 * band - 1.55 + cover
        soft = cv2.GaussianBlur(body, (0, 0), 1.2 * size * sheet.scale)
        # Lit on the side toward the sun: how fast the cloud thins out in that direction.
        toward = np.roll(soft, -int(5 * size * sheet.scale) * (1 if seed < 2 else -1), axis=0)
        lit = smoothstep(-0.35, 0.5, soft - toward + 0.25 * heap)
        near_sun = _glow(sheet, 150)
        shadow = mix(np.full_like(color, 1) * (150, 138, 168), (226, 150, 120), near_sun)
        light = mix(np.full_like(color, 1) * (255, 226, 196), (255, 240, 190), near_sun)
        color = mix(color, mix(shadow, light, lit), 0.92 * smoothstep(0.0, 0.16, body))

    away = np.sqrt((sheet.x - SUN[0]) ** 2 + (sheet.y - SUN[1]) ** 2)
    color = mix(color, (255, 244, 206), smoothstep(17, 14, away + 0.8 * sheet.noise(9, 2, rng)))
    sheet.fill(color)
    sheet.shade(0.018 * sheet.noise((26, 5), 5, rng))
    return sheet


def _ridge(sheet: Canvas, level: float, height: float, cell: float, rng: np.random.Generator) -> Float:
    line = noise((8, sheet.shape[1]), (cell * sheet.scale, 1e6), 8, rng)[:1]
    result: Float = level - height * (0.5 + line)
    return result


def _mountains(rng: np.random.Generator) -> Canvas:
    sheet = Canvas(-90, 90, 740, 230)
    crest = _ridge(sheet, 158, 22, 130, rng)
    depth = sheet.y - crest
    folds = sheet.noise((40, 26), 6, rng)
    slope = np.roll(folds, -int(2.5 * sheet.scale), axis=1) - folds
    color = ramp(sheet.y + 0 * depth, [(120, (118, 122, 164)), (165, (164, 142, 162)), (192, (232, 182, 146))])
    color = mix(color, (255, 206, 150), 0.5 * smoothstep(0.02, 0.5, -slope) * smoothstep(196, 150, sheet.y))
    color = mix(color, (88, 92, 140), 0.45 * smoothstep(0.02, 0.5, slope) * smoothstep(196, 150, sheet.y))
    color = mix(color, (255, 214, 150), 0.6 * _glow(sheet, 60))
    sheet.fill(color, depth > 0)
    sheet.shade(0.03 * sheet.noise(6, 4, rng))
    return sheet


def _hills(rng: np.random.Generator) -> Canvas:
    sheet = Canvas(-110, 110, 780, 230)
    lean = 10 * np.cos((sheet.x - 60) / 130)
    crest = _ridge(sheet, 184, 20, 110, rng) - lean
    depth = sheet.y - crest
    field = sheet.noise((46, 12), 4, rng)
    color = ramp(field, [(-0.8, (92, 96, 96)), (-0.1, (124, 122, 92)), (0.3, (176, 150, 96)), (0.9, (206, 168, 104))])
    color = mix(color, (238, 184, 130), 0.5 * smoothstep(176, 206, sheet.y + 0 * field) + 0.35 * _glow(sheet, 70))
    sheet.fill(color, depth > 0)
    sheet.shade(0.09 * sheet.noise(7, 4, rng), depth > 0)
    top = crest[0]
    woods = cv2.GaussianBlur(sheet.noise((60, 16), 3, rng), (0, 0), 4)
    for y in np.sort(rng.uniform(150, 207, 5200)):
        x = float(rng.uniform(sheet.left, 778))
        column = int((x - sheet.left) * sheet.scale)
        if y < top[column] + 1 or woods[int((y - sheet.top) * sheet.scale), column] < rng.uniform(-0.5, 0.35):
            continue
        size = float(rng.uniform(0.9, 1.9)) * (0.7 + 0.012 * (float(y) - 150))
        tone = float(rng.uniform(0.82, 1.15))
        sheet.dab(x, float(y), size, size * 0.85, (84 * tone, 92 * tone, 72 * tone))
        sheet.dab(x + size * 0.3, float(y) - size * 0.3, size * 0.62, size * 0.5, (150 * tone, 138 * tone, 82 * tone))
        sheet.dab(x + size * 0.5, float(y) - size * 0.45, size * 0.3, size * 0.24, (214 * tone, 178 * tone, 106 * tone))
    sheet.color[:] = mix(sheet.color, (238, 186, 132), 0.12 + 0.4 * _glow(sheet, 60))
    return sheet


def _water(behind: list[Canvas], rng: np.random.Generator) -> Canvas:
    """The sea, mirroring what stands behind it as it is in the middle of the clip."""
    sheet = Canvas(-260, SHORE - 6, 900, 430)
    away = np.maximum(sheet.y - HORIZON, 1)
    # Ripples shrink toward the horizon; sampled from one sheet of noise by row distance.
    source = noise((1400, 2600), (26, 20), 6, rng)
    ripples = cv2.remap(
        source,
        np.broadcast_to((sheet.x - 320) * 150 / away + 1300, sheet.shape).astype(np.float32),
        np.broadcast_to(5200 / away * 12 % 1390, sheet.shape).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    swell = sheet.noise((120, 9), 4, rng)
    waves = 0.7 * ripples + 0.5 * swell

    mirror = np.zeros((*sheet.shape, 3), np.float32)
    row = SHORE - (sheet.y - SHORE) * 0.95 + waves * smoothstep(20, 110, away) * 16
    column = sheet.x + waves * (2 + 0.05 * away) + 0 * row
    for canvas in behind:
        at_x = ((column - canvas.left) * canvas.scale).astype(np.float32)
        at_y = ((row + 0 * column - canvas.top) * canvas.scale).astype(np.float32)
        whole = canvas is behind[0]
        border = cv2.BORDER_REPLICATE if whole else cv2.BORDER_CONSTANT
        seen = np.asarray(cv2.remap(canvas.color, at_x, at_y, cv2.INTER_LINEAR, borderMode=border), np.float32)
        cover = cv2.remap(canvas.cover, at_x, at_y, cv2.INTER_LINEAR, borderMode=border)
        mirror = mix(mirror, seen, np.asarray(cover, np.float32) / np.float32(255))

    deep = ramp(sheet.y + 0 * waves, [(216, (150, 150, 160)), (270, (66, 112, 134)), (380, (28, 74, 100))])
    color = mix(deep, mirror, 0.78 - 0.34 * smoothstep(230, 360, sheet.y))
    color = mix(color, (24, 62, 92), 0.5 * smoothstep(0.1, 0.9, waves))
    color = mix(color, (252, 214, 168), 0.42 * smoothstep(0.25, 0.95, -waves))
    path = np.exp(-(((sheet.x - SUN[0]) / (12 + 0.42 * (sheet.y - SHORE))) ** 2))
    sparkle = smoothstep(0.28, 0.5, ripples + 0.35 * swell + 0.45 * path - 0.32) * path
    color = mix(color, (255, 232, 168), np.clip(0.95 * sparkle + 0.2 * path, 0, 1))
    sheet.fill(color)
    sheet.shade(0.03 * sheet.noise((12, 2.5), 4, rng))
    return sheet


def _sail(at: tuple[float, float], speed: float, rock: float) -> Wander:
    def way(seconds: float) -> Affine:
        bob = 0.7 * float(np.sin(2.3 * seconds + at[0]))
        return affine(shift=(at[0] + speed * seconds, at[1] + bob), turn=rock * float(np.sin(1.7 * seconds + at[0])))

    return way


def _float(at: tuple[float, float], speed: tuple[float, float], swing: float) -> Wander:
    def way(seconds: float) -> Affine:
        shift = (at[0] + speed[0] * seconds, at[1] + speed[1] * seconds)
        return affine(shift=shift, turn=swing * float(np.sin(1.3 * seconds)))

    return way


def _fly(at: tuple[float, float], speed: tuple[float, float], beat: float) -> Wander:
    def way(seconds: float) -> Affine:
        wings = 0.62 + 0.38 * float(np.cos(beat * seconds + at[0]))
        y = at[1] + speed[1] * seconds + 3 * float(np.sin(2 * seconds + at[0]))
        return affine(shift=(at[0] + speed[0] * seconds, y), turn=0.1 * float(np.sin(seconds)), squash=wings)

    return way


def harbor() -> Scene:
    """Sky, mountains, hills, a town on a quay, a lighthouse, water, boats, a balloon, gulls, a bank with flowers."""
    rng = np.random.default_rng(1871)
    sky, mountains, hills = _sky(rng), _mountains(rng), _hills(rng)
    houses, light = town(SHORE, rng), mole(SHORE, rng)
    water = _water([sky, mountains, hills, houses, light], rng)
    dory = sailboat(0.5, (240, 226, 200), (84, 116, 128), rng)
    sloop = sailboat(0.78, (226, 140, 96), (120, 70, 56), rng)
    cutter = sailboat(1.35, (250, 226, 184), (52, 84, 104), rng)
    bird, near_bird = gull(0.6, rng), gull(1.0, rng)
    return Scene(
        (
            layer(sky, 0.03),
            layer(mountains, 0.08),
            layer(balloon(rng), 0.1, _float((330, 84), (-2.0, -4.5), 0.04)),
            layer(hills, 0.14),
            # Flatter than the true perspective, so that the mirrored shore doesn't lean.
            ground(water, 0, 1080),
            layer(light, 0.19),
            layer(houses, 0.2),
            layer(dory, 0.21, _sail((520, 226), -3, 0.02)),
            layer(sloop, 0.22, _sail((372, 240), 6, 0.02)),
            layer(cutter, 0.26, _sail((486, 284), -9, 0.025)),
            layer(bird, 0.3, _fly((180, 112), (22, -2), 8.0)),
            layer(bird, 0.32, _fly((212, 126), (23, -3), 7.1)),
            layer(near_bird, 0.5, _fly((575, 74), (-34, 5), 6.4)),
            layer(pine(rng), 0.85),
            layer(bank(rng), 1.0),
        )
    )
