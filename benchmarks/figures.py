"""The table of figures in the README: speed and memory beside a published net, steadiness and style of each style.

    python benchmarks/figures.py --data DATA --peers PEERS --vgg VGG.safetensors [--json FILE] [--write-cards]

DATA holds ``clips``, ``content-test`` and ``styles``; PEERS holds ``fast_neural_style-mosaic.onnx`` and its style
picture ``style-mosaic.jpg``. Speed is measured interleaved, in one run. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime as ort

from allaprima.engine import Placement, load_engine
from allaprima.frame import Pixels
from allaprima.measure.flicker import WarpError, noise_gain, shift_error
from allaprima.measure.perceptual import StyleMeter, resize_painting
from allaprima.painter import Painter
from allaprima.picture import read_picture
from allaprima.source import open_source
from allaprima.style import Declaration, Style, bundled_styles, write_style

SIZE = (540, 720)
FRAMES = 600
CLIP_FRAMES = 24
CLIP_SIZE = (640, 360)
PEER = "fast_neural_style-mosaic"
PAINTINGS = {"great-wave": "hokusai-great-wave.jpg", "starry-night": "vangogh-starry-night.jpg"}


def area_resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """To (width, height) by area."""
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def test_picture(path: Path) -> Pixels:
    """A picture at 512×384, or 384×512 where it stands upright."""
    pixels = read_picture(path).pixels
    return area_resize(pixels, (512, 384) if pixels.shape[1] >= pixels.shape[0] else (384, 512))


def make_clip(path: Path, source: Path, size: tuple[int, int], frames: int) -> None:
    """Turn a clip into H.264 of another size, played forth and back until it has ``frames`` frames."""
    with open_source(str(source)) as opened:
        pictures = [area_resize(frame.pixels, size) for frame in opened.frames()]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = pictures[order[number % len(order)]]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def session_seconds(session: ort.InferenceSession, picture: np.ndarray) -> float:
    """Seconds of one inference."""
    name = session.get_inputs()[0].name
    started = time.perf_counter()
    session.run(None, {name: picture})
    return time.perf_counter() - started


def open_session(path: Path) -> ort.InferenceSession:
    """A session whose idle threads don't spin: with two sessions in turn, they would slow each other."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def net_speed(style: Style, peer: Path, pairs: int = 8) -> dict[str, Any]:
    """Both nets alone in ONNX Runtime f32, in turn; the ratio pair by pair."""
    picture = np.random.default_rng(0).random((1, 3, *SIZE), np.float32)
    sessions = [open_session(path) for path in (style.path, peer)]
    for session in sessions:
        session_seconds(session, picture)
    times = np.array([[session_seconds(session, picture) for session in sessions] for _ in range(pairs)])
    return {
        "ours_ms": float(np.median(times[:, 0]) * 1e3),
        "peer_ms": float(np.median(times[:, 1]) * 1e3),
        "ratio": float(np.median(times[:, 1] / times[:, 0])),
    }


def run_video(arguments: list[str]) -> tuple[dict[str, Any], float, float, float]:
    """``allaprima video`` as a process of its own: its JSON, wall seconds, CPU seconds, and peak memory in MiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    # A small process in between, so that the peak is that of this child and not of an earlier, larger one.
    watch = (
        "import json,resource,subprocess,sys;"
        "r=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,check=True);"
        "print(json.dumps([json.loads(r.stdout),resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024]))"
    )
    command = [sys.executable, "-c", watch, sys.executable, "-m", "allaprima", "video", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result, peak = json.loads(done.stdout)
    return result, wall, cpu, peak


def whole_speed(style: Style, peer: Path, clip: Path, folder: Path, rounds: int = 3) -> dict[str, Any]:
    """The whole command, start included, against the peer's net alone, in turn."""
    picture = np.random.default_rng(0).random((1, 3, *SIZE), np.float32)
    session = open_session(peer)
    session_seconds(session, picture)
    rows: list[dict[str, float]] = []
    engine = ""
    for _ in range(rounds):
        peer_seconds = float(np.median([session_seconds(session, picture) for _ in range(4)]))
        result, wall, cpu, _ = run_video(
            [str(clip), str(folder / "out.mp4"), "--style", str(style.path), "--overwrite"]
        )
        if result["frames"] != FRAMES:
            raise SystemExit(f"{result['frames']} frames came out, not {FRAMES}")
        engine = result["engine"]
        rows.append(
            {
                "fps": FRAMES / wall,
                "ratio": peer_seconds * FRAMES / wall,
                "wall_times_cores_over_cpu": wall * (os.cpu_count() or 1) / cpu,
            }
        )
    return {"engine": engine, **{name: float(np.median([row[name] for row in rows])) for name in rows[0]}}


def memory(style: Style, source: Path, folder: Path) -> dict[str, float]:
    """Peak memory in MiB of painting a short and a four times longer 1080p clip."""
    peaks = {}
    for frames in (60, 240):
        clip = folder / f"hd-{frames}.mp4"
        make_clip(clip, source, (1920, 1080), frames)
        arguments = [str(clip), str(folder / "hd-out.mp4"), "--style", str(style.path), "--overwrite"]
        peaks[f"{frames} frames"] = run_video(arguments)[3]
    return peaks


def first_frames(clip: Path) -> list[Pixels]:
    """The first frames of a clip, at 640×360."""
    with open_source(str(clip)) as source:
        found = []
        for frame in source.frames():
            found.append(area_resize(frame.pixels, CLIP_SIZE))
            if len(found) == CLIP_FRAMES:
                break
    return found


def quality(style: Style, painting: Pixels, data: Path, vgg: str) -> dict[str, Any]:
    """Style, shift, noise and warp figures of one style, its net in ONNX Runtime f32."""
    painter = Painter(style, engine="onnxruntime", precision="f32", device="cpu")

    def paint(pixels: Pixels) -> Pixels:
        return painter.paint(pixels, {})[0]

    meter = StyleMeter(painting, vgg)
    pictures = [test_picture(path) for path in sorted((data / "content-test").glob("*.jpg"))]
    scores = [meter.measure(picture, paint(picture)) for picture in pictures]
    few = pictures[:8]
    result: dict[str, Any] = {
        "style": float(np.median([score.distance for score in scores])),
        "style_score": float(np.median([score.score for score in scores])),
        "shift": {str(d): float(np.median([shift_error(paint, picture, d).error for picture in few])) for d in (1, 2)},
        "noise": {"2": float(np.median([noise_gain(paint, picture, 2.0, seed=0) for picture in few]))},
    }
    warps = {}
    for clip in sorted((data / "clips").glob("*.mp4")):
        warp = WarpError()
        for pixels in first_frames(clip):
            warp.add(pixels, paint(pixels))
        warps[clip.stem] = warp.result()
    result["warp"] = float(np.mean([warp.output for warp in warps.values()]))
    result["warp_untouched"] = float(np.mean([warp.untouched for warp in warps.values()]))
    return result


def engine_speeds(style: Style) -> dict[str, float]:
    """Milliseconds a frame of the style with its 8-bit ends, by placement, in turn; idle threads don't spin."""
    picture = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    placements = [Placement("onnxruntime", "f32"), Placement("openvino", "f32"), Placement("openvino", "bf16")]
    if style.quantized() is not None:
        placements += [Placement("onnxruntime", "int8"), Placement("openvino", "int8")]
    engines = [load_engine(style, placement, SIZE) for placement in placements]
    times: dict[str, list[float]] = {str(engine.placement): [] for engine in engines}
    for _ in range(12):
        for engine in engines:
            started = time.perf_counter()
            engine.run({"image": picture})
            times[str(engine.placement)].append(time.perf_counter() - started)
    return {name: float(np.median(values[2:]) * 1e3) for name, values in times.items()}


def write_cards(figures: dict[str, dict[str, Any]]) -> None:
    """Store each bundled style's figures on its card."""
    for path in bundled_styles():
        style = Style.open(path)
        measured = {**figures[style.name], "date": date.today().isoformat(), "machine": machine()}
        write_style(path, style.model, replace(style.card, measurements=measured))


def tables(found: dict[str, Any]) -> str:
    """The README's tables, in Markdown."""
    lines = [f"{found['machine']}; ONNX Runtime {found['onnxruntime']}; {found['date']}.", ""]
    if "net" in found:
        net, whole, peaks = found["net"], found["whole"], found["peak_mib"]
        engines = ", ".join(f"{name} {value:.1f} ms" for name, value in found["engines_ms"].items())
        rows = [
            (
                "net alone, f32, ONNX Runtime",
                f"{net['ours_ms']:.0f} ms, {PEER} {net['peer_ms']:.0f} ms: {net['ratio']:.1f}×",
            ),
            ("net with its 8-bit ends", engines),
            (
                f"`allaprima video`, whole, {FRAMES} frames, start included ({whole['engine']})",
                f"{whole['fps']:.0f} fps: {whole['ratio']:.1f}× the peer's net alone",
            ),
            ("wall time × cores / CPU time", f"{whole['wall_times_cores_over_cpu']:.2f}"),
            ("peak memory, 1080p", ", ".join(f"{value:.0f} MiB ({name})" for name, value in peaks.items())),
        ]
        lines += ["| speed at 720×540 | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
    if "quality" in found:
        measures = ["style score ↓", "shift error 1 px ↓", "2 px ↓", "noise gain ↓", "warp error ↓"]
        header = f"| | {' | '.join([*measures, 'untouched', 'above it, / peer ↓'])} |"
        lines += [header, "|---|---|---|---|---|---|---|---|"]
        for name, row in found["quality"].items():
            ratio = row.get("warp_above_untouched_against_peer", 1.0)
            figures = [row["style_score"], row["shift"]["1"], row["shift"]["2"], row["noise"]["2"], row["warp"]]
            shown = " | ".join(f"{figure:.2f}" for figure in [*figures, row["warp_untouched"], ratio])
            lines.append(f"| {name} | {shown} |")
    return "\n".join(lines)


def machine() -> str:
    """The machine in a line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.processor()}, {platform.system()}"


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "peers"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--vgg", required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=["speed", "quality"])
    parser.add_argument("--write-cards", action="store_true")
    options = parser.parse_args()
    peer_path = options.peers / f"{PEER}.onnx"
    styles = [Style.open(path) for path in bundled_styles()]
    found: dict[str, Any] = {"machine": machine(), "onnxruntime": ort.__version__, "date": date.today().isoformat()}
    if options.only != "quality":
        with tempfile.TemporaryDirectory() as name:
            folder, clip = Path(name), Path(name) / "clip.mp4"
            make_clip(clip, options.data / "clips" / "bbb-opening.mp4", SIZE[::-1], FRAMES)
            found["net"] = net_speed(styles[0], peer_path)
            found["engines_ms"] = engine_speeds(styles[0])
            found["whole"] = whole_speed(styles[0], peer_path, clip, folder)
            found["peak_mib"] = memory(styles[0], options.data / "clips" / "game-openarena-island.mp4", folder)
    if options.only != "speed":
        paintings = {style.name: options.data / "styles" / PAINTINGS[style.name] for style in styles}
        figures = {
            style.name: quality(style, resize_painting(paintings[style.name]), options.data, options.vgg)
            for style in styles
        }
        peer = Style.open(peer_path, Declaration(1, 4))
        picture = options.peers / "style-mosaic.jpg"
        peer_figures = quality(peer, resize_painting(picture), options.data, options.vgg)
        above = peer_figures["warp"] - peer_figures["warp_untouched"]
        for each in figures.values():
            each["warp_above_untouched_against_peer"] = (each["warp"] - each["warp_untouched"]) / above
        found["quality"] = {**figures, PEER: peer_figures}
        if options.write_cards:
            write_cards(figures)
    print(tables(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
