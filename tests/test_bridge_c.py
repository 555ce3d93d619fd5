"""The C header of the game bridge, compiled and used for real: what it writes is what Python reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from allaprima.bridge import MotionLayout, Origin, PixelFormat
from allaprima.bridge.layout import segment_path
from allaprima.bridge.reader import BridgeReader

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the game bridge needs Linux or macOS"),
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (Debian: apt install g++)"),
]
STRICT = ["-D_DEFAULT_SOURCE", "-D_DARWIN_C_SOURCE", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

PROGRAM = r"""
#include "allaprima_bridge.h"

/* Writes frames, each for a line on its input; "run" writes until the input ends. */
int main(int count, char **names) {
    allaprima_bridge bridge;
    allaprima_bridge_options options;
    char line[16];
    int error, i;
    (void)count;
    memset(&options, 0, sizeof options);
    options.width = 64, options.height = 48;
    options.pixel_format = ALLAPRIMA_BGRA8;
    options.origin = ALLAPRIMA_BOTTOM;
    options.motion = ALLAPRIMA_FLOAT32;
    options.motion_flags = ALLAPRIMA_UV | ALLAPRIMA_TO_PREVIOUS | ALLAPRIMA_Y_UP;
    options.depth = 1;
    options.rate_1000 = 59940;
    options.slots = 3;
    error = allaprima_bridge_open(&bridge, names[1], &options);
    printf("%d\n", error);
    fflush(stdout);
    if (error) return 1;
    while (fgets(line, sizeof line, stdin)) {
        const int times = line[0] == 'r' ? 20000 : 1;
        int time;
        for (time = 0; time < times; time++) {
            allaprima_bridge_frame frame = allaprima_bridge_begin(&bridge);
            for (i = 0; i < 64 * 48; i++) {
                unsigned char *pixel = (unsigned char *)frame.pixels + 4 * i;
                float *motion = (float *)frame.motion + 2 * i;
                pixel[0] = (unsigned char)bridge.newest, pixel[1] = 2, pixel[2] = (unsigned char)(i / 64);
                pixel[3] = 255;
                motion[0] = -4.0f / 64, motion[1] = 2.0f / 48;
                frame.depth[i] = 5;
            }
            allaprima_bridge_end(&bridge, ALLAPRIMA_HAS_MOTION | ALLAPRIMA_HAS_DEPTH, 2500000000u);
        }
        puts("written");
        fflush(stdout);
    }
    allaprima_bridge_close(&bridge);
    allaprima_bridge_close(&bridge);
    return 0;
}
"""


def built(folder: Path, *options: str, suffix: str = ".c") -> Path:
    """The program, compiled against the header that the package ships."""
    source, program = folder / f"writer{suffix}", folder / "writer"
    source.write_text(PROGRAM)
    header = files("allaprima.bridge") / "allaprima_bridge.h"
    command = [str(COMPILER), *options, *STRICT, f"-I{Path(str(header)).parent}", str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


@pytest.fixture
def name() -> Iterator[str]:
    """A bridge of this test's own."""
    name = f"test-c-{os.getpid()}"
    yield name
    segment_path(name).unlink(missing_ok=True)


def test_python_reads_what_c_writes(tmp_path: Path, name: str) -> None:
    """Protects the layout: one page of it, two programs that follow it, and the same frame in both."""
    command = [str(built(tmp_path, "-std=c99")), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None and program.stdout is not None
        assert program.stdout.readline() == "0\n"
        reader = BridgeReader.attach(name)
        assert reader is not None
        layout = reader.layout
        assert (layout.width, layout.height, layout.slots, layout.depth) == (64, 48, 3, True)
        assert (layout.pixel_format, layout.origin) == (PixelFormat.BGRA8, Origin.BOTTOM)
        assert layout.motion == MotionLayout(uv=True, to_previous=True, y_up=True) and layout.rate == Fraction("59.94")
        for _ in range(2):
            program.stdin.write("one\n")
            program.stdin.flush()
            assert program.stdout.readline() == "written\n"
            reading = reader.read()
            assert reading is not None and reading.captured == 2.5
        assert (reading.pixels[..., 2] == 1).all() and (reading.pixels[..., 1] == 2).all()
        assert (reading.pixels[:, 0, 0] == np.arange(47, -1, -1)).all()
        assert reading.motion is not None and reading.motion[1].all()
        assert reading.motion[0] == pytest.approx(np.broadcast_to(np.float32((4, 2)), (48, 64, 2)))

        # Two writers at once: the second one is refused.
        second = subprocess.run(command, check=False, capture_output=True, text=True)
        assert second.returncode == 1 and int(second.stdout) != 0

        program.stdin.write("run\n")
        program.stdin.flush()
        seen = []
        while program.poll() is None and (not seen or seen[-1].number < 20002):
            if newest := reader.read():
                seen.append(newest)
        # Whole, although a frame takes the writer no longer than the reader: every pixel says the frame's number.
        assert all((each.pixels[..., 2] == (each.number - 1) % 256).all() for each in seen)
        assert reader.alive
        program.stdin.close()
        program.wait(10)
        assert not reader.alive and program.returncode == 0
        reader.close()
    assert not segment_path(name).exists()


def test_a_c_program_that_is_killed_leaves_no_lock(tmp_path: Path, name: str) -> None:
    """Protects the next run: the dead one's memory is replaced."""
    program = built(tmp_path)
    for _ in range(2):
        with subprocess.Popen([program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None and running.stdout.readline() == "0\n"
            reader = BridgeReader.attach(name)
            assert reader is not None and reader.alive
            running.kill()
            running.wait(10)
            assert not reader.alive and segment_path(name).exists()
            reader.close()


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler (Debian: apt install g++)")
def test_the_header_is_c_plus_plus_as_well(tmp_path: Path) -> None:
    """Protects games in C++: no warning there either."""
    built(tmp_path, "-x", "c++", "-std=c++11", "-fsyntax-only", suffix=".cpp")
