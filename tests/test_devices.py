"""Which device trains, and whether bfloat16 is a gain there."""

# ruff: noqa: E402
from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from allaprima.errors import TrainingError
from allaprima.train import session


@pytest.mark.parametrize("name", ["abacus", "cuda"])
def test_a_device_that_is_not_here(name: str) -> None:
    """Named, with the one that is."""
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(TrainingError, match=f"no '{name}' to train on here; choose --device"):
        session.pick_device(name)


def test_devices_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU always; ``auto`` takes the accelerator where there is one."""
    assert session.pick_device("cpu") == "cpu"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert session.pick_device("auto") == "cpu"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    assert session.pick_device("auto") == session.pick_device("cuda") == "cuda"
    with pytest.raises(TrainingError, match="choose --device cuda"):
        session.pick_device("mps")


def test_fast_bf16_is_asked_of_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated bfloat16 would be slower than float32, so it doesn't count."""
    asked: dict[str, bool] = {}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: asked.update(options) or True)
    assert session.has_fast_bf16("cuda")
    assert asked == {"including_emulation": False}
    for has in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        assert session.has_fast_bf16("cpu") is has
    assert not session.has_fast_bf16("mps")
