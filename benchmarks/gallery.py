"""Trained styles side by side: one picture in all of them, and a table of the figures of ``allaprima evaluate``.

    python benchmarks/gallery.py STYLE.onnx… --data DATA --painting PICTURE --json FILE --docs PAGE.md [--gatys PICTURE]

DATA holds ``content-test`` and ``clips``, unless ``--images`` and ``--clips`` name other folders; the styles were made
by ``allaprima train`` and tell of themselves on their cards; ``--gatys`` is what ``allaprima train gatys --size
512x384`` made of the photograph, with its .json beside it. The picture and the table replace what stands between
``<!-- figures -->`` and ``<!-- end of figures -->`` in the page. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from adapters import StyleFile
from document import figure, table, with_section
from net_alone import nets_alone
from peers import write

from allaprima.comparison.mosaic import Heading, Mosaic, View
from allaprima.errors import AllaprimaError
from allaprima.frame import Frame, Pixels
from allaprima.measure.machine import describe_machine
from allaprima.measure.quality.evaluation import Subject, evaluate
from allaprima.measure.quality.image_quality import blob_count
from allaprima.measure.quality.material import CLIP_FRAMES, CLIP_SIZE, Material, load_material
from allaprima.measure.quality.perceptual import PerceptualMeter, resize_painting
from allaprima.picture import read_picture, write_picture
from allaprima.source import open_source
from allaprima.style import Style
from allaprima.stylizer import Stylizer, scale

SIZE = (540, 720)
"""(height, width) of the nets alone."""
_ROUNDS = 8
_PER_ROW = 3
_COLUMNS = (
    ("style score ↓", "style_score", 2),
    ("style ↓", "style", 3),
    ("content ↓", "content", 3),
    ("shift 1 px ↓", "shift.1", 1),
    ("2.6 px ↓", "shift.2.6", 1),
    ("noise σ 2 ↓", "noise.2", 2),
    ("warp ↓", "warp", 1),
    ("sharpness", "sharpness", 0),
    ("blobs ↓", "blobs", 2),
    ("ms at 720×540", "net_ms", 0),
)


def say(what: str) -> None:
    """Tell of the progress."""
    print(what, file=sys.stderr, flush=True)


def chosen_material(options: argparse.Namespace) -> Material:
    """Evenly spread pictures, and the clips; no sequences with true flow, which the table doesn't show."""
    material = load_material(options.data, images=options.images, clips=options.clips, flow=[])
    material.sequences = []
    names = list(material.pictures)
    kept = {names[i] for i in np.linspace(0, len(names) - 1, min(options.pictures, len(names))).round().astype(int)}
    material.pictures = {name: pixels for name, pixels in material.pictures.items() if name in kept | {options.photo}}
    if options.segments > 1:
        files = [path for path in sorted(options.clips.iterdir()) if path.stem in material.clips]
        material.clips = {name: frames for path in files for name, frames in segments(path, options.segments).items()}
    return material


def segments(path: Path, count: int) -> dict[str, list[Frame]]:
    """Pieces of a clip, evenly spread, of as many frames and of the size that the protocol takes from its beginning."""
    with open_source(str(path)) as source:
        frames = [replace(frame, pixels=scale(frame.pixels, CLIP_SIZE)) for frame in source.frames()]
    starts = np.linspace(0, len(frames) - CLIP_FRAMES, count).round().astype(int)
    return {
        f"{path.stem}, {number} of {count}": frames[start : start + CLIP_FRAMES]
        for number, start in enumerate(starts, 1)
    }


def peer_of(path: str, painting: Path) -> StyleFile:
    """A style file or bundled style as the other benchmarks take it."""
    style = Style.open(path)
    about = f"{style.card.network}: {style.card.title}"
    return StyleFile(
        name=style.name, about=about, stride=style.card.stride, painting=painting, against=False, style=style
    )


def about(card_recipe: Mapping[str, Any]) -> str:
    """What was trained, and for how long, in a line."""
    kind = f"width {card_recipe['width']}" if "width" in card_recipe else f"{card_recipe.get('channels')} channels"
    kind += f", {card_recipe['blocks']} blocks"
    if "normalization" in card_recipe:
        kind += f", {card_recipe['normalization']}"
    begun = f", begun from {Path(card_recipe['init']).stem}" if card_recipe["init"] else ""
    steps, minutes = card_recipe["steps_done"], card_recipe["seconds"] / 60
    return f"{kind}; {steps} steps of {card_recipe['batch']}, {minutes:.0f} min{begun}"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Rows of the table, gatys' first."""
    peers = [peer_of(path, options.painting) for path in options.styles]
    material = chosen_material(options)
    subjects = [
        Subject(peer.name, lambda dial, peer=peer: Stylizer(peer.painter(), coherence=dial), peer.stride,
                peer.read_painting())
        for peer in peers
    ]  # fmt: skip
    found = evaluate(
        subjects,
        material,
        vgg=options.vgg,
        coherences=[0.0],
        on_progress=lambda what, done, total: say(f"{done + 1} of {total}: {what}"),
    )
    nets = {row["name"]: row for row in nets_alone(peers, SIZE, _ROUNDS, say)["rows"]}
    rows = [] if options.gatys is None else [gatys_row(options)]
    for peer in peers:
        row = next(line for line in found.to_dict()["rows"] if line["name"] == peer.name)
        rows.append(
            {
                **{name: row[name] for name in ("style_score", "style", "content", "shift", "noise", "warp", "blobs")},
                "sharpness": row["sharpness"],
                "clips": {name: clip["warp"] for name, clip in row["clips"].items()},
                "net_ms": nets[peer.name]["median_ms"],
                "mib": nets[peer.name]["mib"],
                "name": peer.name,
                "method": peer.style.card.network,
                "about": about(peer.style.card.recipe),
                "style_file": str(peer.style.path),
            }
        )
    return {
        "machine": describe_machine(),
        "photo": options.photo,
        "protocol": found.to_dict()["protocol"],
        "rows": rows,
        "untouched": {name: clip["untouched"] for name, clip in found.rows[0].clips.items()},
        "command": options.command,
        "failures": [failure.to_dict() for failure in found.failures],
    }


def gatys_row(options: argparse.Namespace) -> dict[str, Any]:
    """Style and content of the one picture that gatys painted; it paints no clip, so nothing else."""
    record = json.loads(options.gatys.with_suffix(".json").read_text(encoding="utf-8"))
    meter = PerceptualMeter(options.vgg)
    painting = meter.painting(resize_painting(read_picture(options.painting).pixels))
    photo = chosen_material(options).pictures[options.photo]
    painted = read_picture(options.gatys).pixels
    result = meter.measure(options.photo, photo, painted, painting)
    return {
        "name": "gatys",
        "method": "gatys",
        "about": f"{record['steps']} steps, {record['seconds'] / 60:.0f} min for this one picture",
        "style_score": result.score,
        "style": result.distance,
        "content": result.content,
        "blobs": float(blob_count(painted, photo)),
    }


def sheet(options: argparse.Namespace, found: Mapping[str, Any]) -> Pixels:
    """The photograph, the painting and what every method makes of them."""
    photo = chosen_material(options).pictures[options.photo]
    height, width = photo.shape[:2]
    shown: list[tuple[Heading, Pixels]] = [(Heading("photograph", options.photo), photo)]
    if options.gatys is not None:
        row = next(row for row in found["rows"] if row["name"] == "gatys")
        shown.append((Heading("gatys", row["about"]), read_picture(options.gatys).pixels))
    for path in options.styles:
        peer = peer_of(path, options.painting)
        painted, _ = peer.painter().paint(photo, {})
        row = next(row for row in found["rows"] if row["name"] == peer.name)
        shown.append((Heading(peer.name, row["about"]), painted))
    mosaic = Mosaic([heading for heading, _ in shown], [View(width, height)], per_row=_PER_ROW, titled=True)
    return mosaic.fill([[pixels] for _, pixels in shown])


def figures(found: Mapping[str, Any], image: str, command: str) -> str:
    """The picture, the table, and what it rests on, in Markdown."""
    protocol, machine = found["protocol"], found["machine"]
    clips = list(protocol["clips"])
    rows = [
        [f"**{row['name']}**", row["about"], *(figure(row, path, digits) for _, path, digits in _COLUMNS)]
        for row in found["rows"]
    ]
    by_clip = [
        [f"**{row['name']}**", *(figure(row["clips"], clip, 1) for clip in clips)]
        for row in found["rows"]
        if "clips" in row
    ]
    by_clip.append(["untouched", *(figure(found["untouched"], clip, 1) for clip in clips)])
    where = f"{machine['cpu']}, {machine['system']}, {machine['date']}, commit {machine['commit'] or 'unknown'}"
    notes = (
        f"{len(protocol['pictures']['names'])} pictures of {'×'.join(map(str, protocol['pictures']['size']))}, of which"
        f" {len(protocol['flicker_pictures'])} for shift and noise; the first {protocol['clip_frames']} frames of each"
        f" clip. ONNX Runtime f32, all cores; {where}. Made by\n\n```sh\n{command}\n```"
    )
    header = ["", "what was trained, and how long", *(title for title, _, _ in _COLUMNS)]
    return "\n\n".join(
        [
            f"![One photograph in every row of the table]({image})",
            table(header, rows),
            "Warp error by clip, without coherence:",
            table(["", *clips], by_clip),
            notes,
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="+", help="style files, or names of bundled styles")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--painting", type=Path, required=True, help="what all of them paint like")
    parser.add_argument("--photo", default="kodim23", help="name of the photograph that is shown")
    parser.add_argument("--gatys", type=Path, help="the picture that gatys painted")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--images", type=Path, help="folder of pictures, in place of the data folder's")
    parser.add_argument("--clips", type=Path, help="folder of clips, in place of the data folder's")
    parser.add_argument("--segments", type=int, default=1, help="of each clip in --clips, instead of its beginning")
    parser.add_argument("--command", required=True, help="how the page is made, for the page")
    parser.add_argument("--vgg", help="weights of the loss network; else ALLAPRIMA_VGG, or a download")
    parser.add_argument("--json", type=Path, required=True, help="every figure; the page is made of it")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the page of an earlier --json")
    parser.add_argument("--docs", type=Path, required=True, help="the page, with marks")
    options = parser.parse_args(arguments)
    try:
        if not options.render:
            write(options.json, json.dumps(measure(options), indent=1, ensure_ascii=False) + "\n")
        found = json.loads(options.json.read_text(encoding="utf-8"))
        image = options.docs.parent / "images" / f"{options.docs.stem}.jpg"
        write_picture(image, sheet(options, found), overwrite=True, quality=86)
        text = figures(found, f"images/{image.name}", found["command"])
        write(options.docs, with_section(options.docs.read_text(encoding="utf-8"), "figures", text))
    except AllaprimaError as error:
        print(f"gallery.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
