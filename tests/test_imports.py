"""What may be imported where: the light package without extras, and training on a bare GPU machine."""

from __future__ import annotations

import subprocess
import sys

HANGS = 600
"""Seconds after which nothing will come any more, on a machine however busy."""
BLOCK = """
import importlib, pkgutil, sys
class Blocker:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in BLOCKED else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Blocker, sys.meta_path)
"""


def run_python(code: str, *blocked: str) -> str:
    """Standard output of a fresh interpreter in which some packages are missing."""
    program = f"BLOCKED = {set(blocked)!r}\n{BLOCK}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_but_training_imports_without_extras() -> None:
    """Who paints never installs PyTorch."""
    code = """
import allaprima
SKIPPED = {
    "allaprima.__main__",  # runs the program
    "allaprima.measure.quality.perceptual",  # measures with VGG16
    "allaprima.shrink.fine_tune",  # trains
}
names = [module.name for module in pkgutil.walk_packages(allaprima.__path__, "allaprima.", onerror=lambda name: None)]
names = [name for name in names if not name.startswith("allaprima.train") and name not in SKIPPED]
for name in names:
    importlib.import_module(name)
for name in allaprima.__all__:
    getattr(allaprima, name)
print(" ".join(names))
"""
    training = ("torch", "lightning_fabric", "tomli_w", "tensorboard", "safetensors")
    live = ("pygame", "mss", "prometheus_client", "Xlib", "pyvirtualcam")
    names = run_python(code, *training, *live, "openvino").split()
    assert {"allaprima.cli.train", "allaprima.engines.openvino_engine", "allaprima.api"} <= set(names)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """``import allaprima`` is instant: no engine, no decoder, not even NumPy."""
    heavy = {"numpy", "onnx", "onnxruntime", "openvino", "torch", "cv2", "av", "PIL", "typer", "rich"}
    loaded = run_python("before = set(sys.modules)\nimport allaprima\nprint(*(set(sys.modules) - before))").split()
    assert "allaprima" in loaded
    assert not heavy & set(loaded)


def test_training_imports_on_a_bare_gpu_machine() -> None:
    """Torch, NumPy, Pillow, Lightning Fabric and tomli-w are all that training needs."""
    code = """
import io, pathlib, tempfile
from allaprima.train import batches, logbook, preview, recipe, session, trainer, vgg
from allaprima.train.contents import pictures
from allaprima.train.methods import johnson, realtime, reconet
with tempfile.TemporaryDirectory() as folder:
    said = []
    logbook.Logbook(pathlib.Path(folder), said.append).close()
    path = pathlib.Path(folder) / "weights.pth"
    import torch
    torch.save({"0.weight": torch.zeros(1)}, path)
    print(said[0], *vgg.load_weights(path))
"""
    blocked = ("onnx", "onnxruntime", "openvino", "cv2", "av", "typer", "rich", "tensorboard", "safetensors")
    said = run_python(code, *blocked)
    assert "TensorBoard isn't installed" in said
    assert "pip install 'allaprima[train]'" in said
    assert "features.0.weight" in said
