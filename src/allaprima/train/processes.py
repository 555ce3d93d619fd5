"""One process, or several that train one network together: started plainly, or by ``torchrun``, which says how many.

Each process has its share of every batch, and the mean of the processes' gradients is that of the whole batch. The
network isn't wrapped for that: a method may call it several times a step, and at a precision of its own.
"""

from __future__ import annotations

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from torch import Tensor


def open_fabric(device: str, precision: str) -> Fabric:
    """Fabric for the processes that ``torchrun`` started, or for this one; returns when all have come so far.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: ``f32``, ``bf16`` or ``f16``.
    """
    world, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(
        accelerator=device,
        strategy="ddp" if world > 1 else "auto",
        devices=here,
        num_nodes=world // here,
        plugins=_precision(precision, device),
    )
    fabric.launch()
    return fabric


def _precision(name: str, device: str) -> Precision:
    if name == "f32":
        return Precision()
    # By the plugin itself: by name, Fabric takes bfloat16 in place of float16 on CPUs.
    return MixedPrecision("bf16-mixed" if name == "bf16" else "16-mixed", device)


def any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether the flag is set in any process: the same answer in all."""
    if fabric.world_size == 1:
        return flag
    return bool(fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum"))


def average(fabric: Fabric, tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over the processes."""
    if fabric.world_size == 1:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    fabric.all_reduce(flat, reduce_op="mean")
    means = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, mean in zip(tensors, means, strict=True):
        tensor.copy_(mean.view(tensor.shape))
