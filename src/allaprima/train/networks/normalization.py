"""Normalization over a picture or a batch, each with the activation that goes with it.

Statistics are computed in float32 at least, whatever the precision of what comes in; the result has that precision
again.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


class FilterResponseNorm(nn.Module):
    """Filter response normalization: y = γ·x / sqrt(ν² + ε) + β, where ν² is the mean of x² over H and W.

    Singh & Krishnan 2020, "Filter Response Normalization Layer: Eliminating Batch Dependence in the Training of Deep
    Neural Networks", equations 1 to 3, which take |ε|, since ε is learned there for maps of few pixels. It looks at one
    sample at a time, in training as in use.

    Args:
        channels: of the input, N×C×H×W.
        eps: ε, above 0; fixed.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            wide = _widened(x)
            power = wide.square().mean((2, 3), keepdim=True)
            return (self.weight * wide * torch.rsqrt(power + self.eps) + self.bias).to(x.dtype)


class ThresholdedLinear(nn.Module):
    """Thresholded linear unit: max(x, τ), τ learned for each channel from 0 on (the same paper, equation 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, self.threshold.to(x.dtype))


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Batch normalization over the batch of all processes together (Ioffe & Szegedy 2015, algorithm 1).

    In one process, and in eval mode, it is ``nn.BatchNorm2d``. Where ``torch.distributed`` is initialized, mean and
    variance are reduced over all processes, differentiably, so that the gradients are those of the whole batch too; on
    the CPU as well, which ``nn.SyncBatchNorm`` can't.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            wide = _widened(x)
            together = self.training and dist.is_available() and dist.is_initialized()
            normalized = self._over_all_processes(wide) if together else super().forward(wide)
            return normalized.to(x.dtype)

    def _over_all_processes(self, x: Tensor) -> Tensor:
        from torch.distributed.nn.functional import all_reduce  # not in every build of PyTorch

        count = x.new_full((1,), x.numel() / x.shape[1])
        sums: Tensor = all_reduce(torch.cat([x.sum((0, 2, 3)), count]))  # type: ignore[no-untyped-call]
        count = sums[-1]
        mean = sums[:-1] / count
        centered = x - mean[:, None, None]
        # In a second pass, since the difference of mean square and squared mean loses digits.
        variance: Tensor = all_reduce(centered.square().sum((0, 2, 3))) / count  # type: ignore[no-untyped-call]
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centered * scale[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


def normalization_and_activation(name: str, channels: int) -> tuple[nn.Module, nn.Module]:
    """A fresh normalization by its name in recipes, and a fresh activation to follow it.

    Args:
        name: ``instance`` (Ulyanov et al. 2016) or ``batch``, with ReLU; ``frn``, with the thresholded linear unit.
        channels: of the maps.
    """
    if name == "frn":
        return FilterResponseNorm(channels), ThresholdedLinear(channels)
    layers = {"instance": nn.InstanceNorm2d, "batch": SynchronizedBatchNorm}
    return layers[name](channels, affine=True), nn.ReLU()


def _widened(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
