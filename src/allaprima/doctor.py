"""What this machine can really do: every engine and precision is run."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import av
import numpy as np

from .engine import PRECISIONS, Placement, load_engine, silent_inputs
from .errors import AllaprimaError
from .placement import probe_picture
from .sources.stream import available_protocols
from .style import Style, bundled_styles
from .video.codecs import CODECS, available_codecs

_PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino", "av", "opencv-python-headless", "pillow", "torch")
_DECODERS = ("h264", "hevc", "av1", "vp9", "vp8", "mpeg4", "prores", "ffv1", "mjpeg")
_PROBE_SIZE = (64, 64)


@dataclass
class Report:
    """What was found, and for each thing that's missing the line that fixes it."""

    allaprima: str
    python: str
    system: str
    cores: int
    versions: dict[str, str | None] = field(default_factory=dict)
    ran: list[dict[str, str]] = field(default_factory=list)
    """Placements that painted a probe just now."""
    failed: list[dict[str, str]] = field(default_factory=list)
    """Placements that did not, with the reason."""
    decoders: dict[str, bool] = field(default_factory=dict)
    encoders: dict[str, str | None] = field(default_factory=dict)
    """Codec to the encoder that opens here."""
    protocols: dict[str, bool] = field(default_factory=dict)
    """What network streams can be opened by, for ``live``."""
    cameras: list[str] = field(default_factory=list)
    fixes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def examine() -> Report:
    """Look at everything; takes a second or two."""
    from . import __version__

    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    report = Report(__version__, sys.version.split()[0], system, os.cpu_count() or 1)
    for package in _PACKAGES:
        report.versions[package] = _version(package)
    _try_engines(report)
    for name in _DECODERS:
        report.decoders[name] = name in av.codecs_available
    here = available_codecs()
    for name, codec in CODECS.items():
        report.encoders[name] = codec.encoder if name in here else None
    missing = [codec for codec, encoder in report.encoders.items() if encoder is None]
    if missing:
        report.fixes.append(f"no encoder for {', '.join(missing)}: pip install --force-reinstall --only-binary av av")
    report.protocols = available_protocols()
    report.cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    if not report.cameras and platform.system() == "Linux":
        report.fixes.append("no camera under /dev/video*: plug one in, or join the 'video' group")
    return report


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _placements() -> list[Placement]:
    from .engines import onnxruntime_engine

    found = [
        Placement("onnxruntime", precision, device)
        for device in onnxruntime_engine.devices()
        for precision in PRECISIONS
    ]
    if importlib.util.find_spec("openvino") is not None:
        from .engines import openvino_engine

        found += [
            Placement("openvino", precision, device) for device in openvino_engine.devices() for precision in PRECISIONS
        ]
    return found


def _try_engines(report: Report) -> None:
    styles = bundled_styles()
    if not styles:
        report.fixes.append("no bundled style to try the engines with: pip install --force-reinstall allaprima")
        return
    style = Style.open(styles[0])
    picture = probe_picture(_PROBE_SIZE)[np.newaxis]
    for placement in _placements():
        try:
            engine = load_engine(style, placement, _PROBE_SIZE)
            engine.run({**silent_inputs(style, _PROBE_SIZE), "image": picture})
            report.ran.append(asdict(engine.placement))
        except AllaprimaError as error:
            report.failed.append({**asdict(placement), "reason": str(error)})
    if importlib.util.find_spec("openvino") is None:
        report.fixes.append(
            "OpenVINO is not installed; on most CPUs it is the fastest: pip install 'allaprima[openvino]'"
        )
