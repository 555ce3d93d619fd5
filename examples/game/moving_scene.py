"""A yard drawn by OpenGL, as a game draws it: colors, exact motion vectors and depth, sent through the game bridge.

Needs ``moderngl`` and EGL; no screen, and no graphics card where Mesa draws. In one terminal
``python examples/game/moving_scene.py --seconds 60``, in another
``allaprima live --from game:yard --to window --style great-wave``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

import cv2
import moderngl
import numpy as np
import typer
from numpy.typing import NDArray

from allaprima.bridge import BridgeWriter, MotionLayout, Origin, PixelFormat
from allaprima.errors import AllaprimaError
from allaprima.scenes.brush import noise, ramp

Matrix = NDArray[np.float32]
"""float32, 4×4, for columns."""
Texture = NDArray[np.uint8]

MOTION = MotionLayout(uv=True, y_up=True)
"""What the shader computes: fractions of the picture, y upward, from where a point was to where it is."""
SAMPLES, SIDE, NEAR, FAR = 4, 512, 0.1, 200.0

VERTEX = """
#version 330
uniform mat4 now, was, placed;  // model to clip space, in this frame and in the one before; model to world
uniform float repeats;
in vec3 place, normal;
in vec2 at;
out vec4 clip, clip_was;
out vec3 facing;
out vec2 on;
void main() {
    gl_Position = clip = now * vec4(place, 1);
    clip_was = was * vec4(place, 1);
    facing = mat3(placed) * normal;
    on = at * repeats;
}
"""
PAINTED = """
#version 330
uniform sampler2D picture;
uniform float shaded;
in vec3 facing;
in vec2 on;
out vec4 color;
void main() {
    float light = mix(1, 0.55 + 0.55 * max(dot(normalize(facing), normalize(vec3(0.5, 0.8, 0.3))), 0), shaded);
    color = vec4(texture(picture, on).rgb * light, 1);
}
"""
MOVED = """
#version 330
in vec4 clip, clip_was;
out vec4 planes;  // motion, depth, and what the depth was
void main() {
    planes = vec4((clip.xy / clip.w - clip_was.xy / clip_was.w) / 2, clip.w, clip_was.w);
}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame, rows from the bottom up as OpenGL has them."""

    pixels: NDArray[np.uint8]
    """H×W×4, RGBA."""
    motion: NDArray[np.float32]
    """H×W×2, as :data:`MOTION` says."""
    depth: NDArray[np.float32]
    """H×W: distance along the camera's axis."""
    depth_was: NDArray[np.float32]
    """H×W: how far the point that a pixel shows was in the frame before."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """What stands or moves in the yard."""

    mesh: str
    texture: str
    place: Callable[[float], Matrix]
    """Seconds to the matrix from model to world."""
    repeats: float = 1
    shaded: float = 1


def moved(x: float, y: float, z: float) -> Matrix:
    """Put somewhere else."""
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, 3] = x, y, z
    return matrix


def sized(x: float, y: float, z: float) -> Matrix:
    """Made larger along the axes."""
    return np.diag(np.array([x, y, z, 1], np.float32))


def turned(angle: float, axis: int = 1) -> Matrix:
    """Turned about an axis, in radians."""
    matrix = np.eye(4, dtype=np.float32)
    i, j = [k for k in range(3) if k != axis]
    matrix[[i, j], [i, j]] = math.cos(angle)
    matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
    return matrix


def camera(seconds: float) -> Matrix:
    """World to the camera: it walks round the yard, and nods and sways a little, as a player does."""
    angle = 0.25 * seconds
    eye = np.array([11 * math.cos(angle), 2.4 + 0.25 * math.sin(1.7 * seconds), 11 * math.sin(angle)], np.float32)
    at = np.array([1.5 * math.sin(0.6 * seconds), 1.6 + 0.3 * math.sin(1.1 * seconds), 0], np.float32)
    back = (eye - at) / np.linalg.norm(eye - at)
    right = np.cross([0, 1, 0], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = right, np.cross(back, right), back
    return np.asarray(matrix @ moved(*-eye), np.float32)


def lens(ratio: float, angle: float = math.radians(60)) -> Matrix:
    """Camera to clip space."""
    scale = 1 / math.tan(angle / 2)
    matrix = np.zeros((4, 4), np.float32)
    matrix[0, 0], matrix[1, 1], matrix[3, 2] = scale / ratio, scale, -1
    matrix[2, 2:] = (FAR + NEAR) / (NEAR - FAR), 2 * FAR * NEAR / (NEAR - FAR)
    return matrix


def yard() -> list[Thing]:
    """Everything there is, but the sky."""
    things = [Thing("box", "flags", lambda _: moved(0, -0.5, 0) @ sized(60, 1, 60), repeats=24)]
    for index in range(7):
        angle = math.tau * index / 7
        place = moved(6 * math.cos(angle), 2.5, 6 * math.sin(angle)) @ turned(-angle) @ sized(0.9, 5, 0.9)
        things.append(Thing("box", "bricks", lambda _, place=place: place, repeats=1.5))
    for index in range(12):
        angle = math.tau * (index + 0.5) / 12
        place = moved(24 * math.cos(angle), 3, 24 * math.sin(angle)) @ turned(-angle) @ sized(1, 6, 11)
        things.append(Thing("box", ("bricks", "plaster")[index % 2], lambda _, place=place: place, repeats=3))
    things += [
        Thing(
            "box", "wood", lambda t: moved(4 * math.sin(0.9 * t), 0.75, 2.5) @ turned(0.8 * t) @ sized(1.5, 1.5, 1.5)
        ),
        Thing("box", "wood", lambda t: moved(-3, 0.6 + abs(1.6 * math.sin(2 * t)), -2) @ turned(1.1 * t, 2)),
        Thing("ball", "plaster", lambda t: moved(2.5 * math.cos(t), 1.1, 2.5 * math.sin(t)) @ turned(-1.6 * t), 2),
        Thing("ball", "flags", lambda t: moved(0, 3.6, 0) @ turned(0.7 * t) @ sized(1.3, 1.3, 1.3), 2),
    ]
    return things


def textures() -> dict[str, Texture]:
    """Painted surfaces, 512×512, that fit together at their edges."""
    rng = np.random.default_rng(6)
    shape = (SIDE, SIDE)
    rows, columns = np.indices(shape)

    def surface(cell: tuple[float, float] | float, *stops: tuple[float, tuple[float, float, float]]) -> Any:
        value = noise(shape, cell, 7, rng)
        # Mirrored halves: the edges fit.
        half = np.hstack([value[:, ::2], value[:, ::-2]])
        return ramp(np.vstack([half[::2], half[::-2]]), stops)

    def joints(high: int, wide: int, broad: int) -> Any:
        shift = rows // high % 2 * (wide // 2)
        return ((rows % high < broad) | ((columns + shift) % wide < broad))[..., None]

    bricks = surface(40, (-1, (120, 45, 30)), (0, (172, 84, 58)), (1, (215, 140, 96)))
    tint = rng.uniform(0.75, 1.15, (SIDE // 64, SIDE // 128 + 1))[
        rows // 64, (columns + rows // 64 % 2 * 64) // 128 % 4
    ]
    flags = surface(70, (-1, (84, 92, 84)), (0, (142, 140, 124)), (1, (200, 192, 168)))
    return {
        "bricks": _bytes(np.where(joints(64, 128, 7), (186, 178, 164), bricks * tint[..., None])),
        "flags": _bytes(np.where(joints(128, 256, 8), (70, 74, 64), flags)),
        "plaster": _bytes(surface(90, (-1, (160, 120, 60)), (0, (224, 196, 132)), (1, (250, 236, 200)))),
        "wood": _bytes(surface((160, 10), (-1, (70, 40, 18)), (0, (150, 96, 48)), (1, (210, 160, 96)))),
        "sky": _bytes(surface(130, (-0.4, (92, 146, 210)), (0.2, (150, 190, 230)), (0.8, (250, 250, 246)))),
    }


def _bytes(values: NDArray[Any]) -> Texture:
    return np.ascontiguousarray(np.clip(values, 0, 255).astype(np.uint8))


def box() -> NDArray[np.float32]:
    """A cube with sides of 1: triangles' corners, each with place, normal and place on the texture."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 0), (1, 1), (0, 1)], np.float32)
    sides = []
    for axis in range(3):
        for sign in (-1, 1):
            place, normal = np.zeros((6, 3), np.float32), np.zeros((6, 3), np.float32)
            place[:, axis], normal[:, axis] = sign / 2, sign
            # What is upright on the texture is upright in the world.
            across, up = ((0, 2), (2, 1), (0, 1))[(axis + 2) % 3 if axis == 1 else (1 if axis == 0 else 2)]
            place[:, across], place[:, up] = corners[:, 0] - 0.5, corners[:, 1] - 0.5
            sides.append(np.hstack([place, normal, corners]))
    return np.vstack(sides)


def ball(rows: int = 24, columns: int = 48) -> NDArray[np.float32]:
    """A sphere of radius 1, as :func:`box`."""
    v, u = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    high, round_ = np.pi * (v - 0.5), 2 * np.pi * u
    place = np.stack([np.cos(high) * np.cos(round_), np.sin(high), np.cos(high) * np.sin(round_)], axis=-1)
    grid = np.concatenate([place, place, np.stack([2 * u, v], axis=-1)], axis=-1).astype(np.float32)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    return np.ascontiguousarray(np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 8))


class Renderer:
    """Draws the yard offscreen.

    Args:
        width, height: of the picture in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self._context = moderngl.create_standalone_context(backend="egl")
        self._context.enable(moderngl.DEPTH_TEST)
        self._programs = [
            self._context.program(vertex_shader=VERTEX, fragment_shader=each) for each in (PAINTED, MOVED)
        ]
        self._textures = {name: self._texture(pixels) for name, pixels in textures().items()}
        self._meshes = {"box": box(), "ball": ball()}
        self._drawn = [{name: self._mesh(program, name) for name in self._meshes} for program in self._programs]
        make, each = self._context.framebuffer, self._context.renderbuffer
        self._smooth = make([each(self.size, 4, samples=SAMPLES)], self._context.depth_renderbuffer(self.size, SAMPLES))
        self._picture = make([each(self.size, 4)])
        self._planes = make([each(self.size, 4, dtype="f4")], self._context.depth_renderbuffer(self.size))
        self._things = yard()
        self._lens = lens(width / height)

    def draw(self, seconds: float, before: float) -> Shot:
        """The yard at one time, with its motion since another one."""
        self._smooth.use()
        self._context.clear()
        self._draw(0, seconds, before)
        self._context.copy_framebuffer(self._picture, self._smooth)
        self._planes.use()
        self._context.clear()
        self._draw(1, seconds, before)
        width, height = self.size
        pixels = np.frombuffer(self._picture.read(components=4), np.uint8).reshape(height, width, 4)
        planes = np.frombuffer(self._planes.read(components=4, dtype="f4"), np.float32).reshape(height, width, 4)
        return Shot(pixels, planes[..., :2], planes[..., 2], planes[..., 3])

    def _draw(self, which: int, seconds: float, before: float) -> None:
        program = self._programs[which]
        views = [(time, camera(time)) for time in (seconds, before)]
        eye = [np.linalg.inv(view)[:3, 3] for _, view in views]
        for thing in [Thing("ball", "sky", lambda _: sized(90, 90, 90), 2, 0), *self._things]:
            places = [thing.place(time) for time, _ in views]
            if thing.texture == "sky":  # as far away wherever the camera is
                places = [moved(*at) @ place for at, place in zip(eye, places, strict=True)]
            clips = [self._lens @ view @ place for (_, view), place in zip(views, places, strict=True)]
            values = {"now": clips[0], "was": clips[1], "placed": places[0]}
            for name, matrix in values.items():
                if name in program:
                    program[name].write(np.ascontiguousarray(matrix.T, np.float32).tobytes())
            for name in ("repeats", "shaded"):
                if name in program:
                    program[name].value = getattr(thing, name)
            self._textures[thing.texture].use()
            self._drawn[which][thing.mesh].render()

    def _mesh(self, program: moderngl.Program, name: str) -> moderngl.VertexArray:
        parts = [("3f", "place"), ("3f", "normal"), ("2f", "at")]
        used = [(kind if part in program else f"{4 * int(kind[0])}x", part) for kind, part in parts]
        layout = " ".join(kind for kind, _ in used)
        names = [part for kind, part in used if not kind.endswith("x")]
        return self._context.vertex_array(program, [(self._context.buffer(self._meshes[name]), layout, *names)])

    def _texture(self, pixels: Texture) -> moderngl.Texture:
        texture = self._context.texture(pixels.shape[1::-1], 3, pixels.tobytes())
        texture.build_mipmaps()
        return texture


def main(
    name: Annotated[str, typer.Option(help="Of the bridge.")] = "yard",
    width: Annotated[int, typer.Option(min=64)] = 640,
    height: Annotated[int, typer.Option(min=64)] = 360,
    fps: Annotated[float, typer.Option(min=1)] = 30,
    seconds: Annotated[float, typer.Option(min=0.1)] = 60,
) -> None:
    """Draw the yard in real time into the game bridge."""
    cv2.setNumThreads(1)
    renderer = Renderer(width, height)
    try:
        with BridgeWriter(
            name,
            width,
            height,
            motion=MOTION,
            depth=True,
            pixel_format=PixelFormat.RGBA8,
            origin=Origin.BOTTOM,
            rate=Fraction(fps).limit_denominator(1000),
        ) as bridge:
            began, before, drawn = time.monotonic(), None, 0
            while (now := time.monotonic() - began) < seconds:
                shot = renderer.draw(now, now if before is None else before)
                bridge.write(shot.pixels, None if before is None else shot.motion, shot.depth, began + now)
                before, drawn = now, drawn + 1
                time.sleep(max((math.floor(now * fps) + 1) / fps - (time.monotonic() - began), 0))
    except AllaprimaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(f"{name}: {drawn} frames, {drawn / now:.1f} drawn in a second")


if __name__ == "__main__":
    typer.run(main)
