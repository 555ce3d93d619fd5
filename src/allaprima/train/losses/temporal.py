"""Temporal losses along optical flow (Gao, Gu, Zhang, Wang 2018, "ReCoNet: Real-time Coherent Video Style Transfer
Network", section 3.3).

Flows are in pixels and lead from the frame to the one before it, as :class:`~allaprima.train.content.Motion` has them.
As in the paper, sums over valid pixels are divided by the number of all pixels, valid or not. Every loss is the mean
over the frames of a batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Relative luminance of R, G and B (Rec. 709), which the paper takes of the encoded values as they are."""


def warp_by_flow(image: Tensor, flow: Tensor) -> Tensor:
    """What ``image`` shows at p + flow(p), at p: bilinear; beyond the border, the border's pixels.

    Args:
        image: float32 N×C×H×W.
        flow: float32 N×2×H×W, x and y in pixels.
    """
    return F.grid_sample(image, flow_grid(flow), mode="bilinear", padding_mode="border", align_corners=False)


def flow_grid(flow: Tensor) -> Tensor:
    """Where each pixel comes from, float32 N×H×W×2 in the coordinates of ``grid_sample``, by a flow N×2×H×W in pixels.

    Pixel x has its center at x + ½, so that its place in ``grid_sample`` is (2x + 1) / W − 1.
    """
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype).unsqueeze(1) + flow[:, 1]
    return torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)


def luminance(image: Tensor) -> Tensor:
    """Relative luminance Y = 0.2126 R + 0.7152 G + 0.0722 B: N×3×H×W to N×1×H×W."""
    return (image * image.new_tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)


def output_temporal_loss(
    painted: Tensor, painted_before: Tensor, image: Tensor, image_before: Tensor, *, flow: Tensor, valid: Tensor
) -> Tensor:
    """A painting may change along the flow as its picture's luminance does, and no more (equation 5); a scalar.

    Σ M·[(O − W(O′))_c − (I − W(I′))_Y]² / (H·W), summed over pixels and the colors c.

    Args:
        painted: O, float32 N×3×H×W.
        painted_before: O′, of the frame before.
        image: I, in the same range as the paintings, else the constraint means nothing.
        image_before: I′.
        flow: float32 N×2×H×W in pixels.
        valid: M, float32 N×1×H×W, 0 or 1.
    """
    change = painted - warp_by_flow(painted_before, flow)
    light = luminance(image - warp_by_flow(image_before, flow))
    return ((change - light).square() * valid).sum(1).mean()


def feature_temporal_loss(maps: Tensor, maps_before: Tensor, *, flow: Tensor, valid: Tensor) -> Tensor:
    """Feature maps must move along the flow (equation 4): Σ M·(F − W(F′))² / (C·h·w); a scalar.

    Args:
        maps: F, float32 N×C×h×w.
        maps_before: F′, of the frame before.
        flow: float32 N×2×H×W in pixels, H and W multiples of h and w.
        valid: M, float32 N×1×H×W, 0 or 1.
    """
    flow, valid = resized_motion(flow, valid, maps.shape[-2], maps.shape[-1])
    return ((maps - warp_by_flow(maps_before, flow)).square() * valid).mean()


def resized_motion(flow: Tensor, valid: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Flow and mask on a coarser grid of ``height``×``width`` cells.

    A cell's flow is the mean over its pixels, in cells. A cell is valid where all of its pixels are, since others have
    no flow to be averaged.
    """
    cell = (flow.shape[-2] // height, flow.shape[-1] // width)
    in_cells = F.avg_pool2d(flow, cell) / flow.new_tensor(cell[::-1]).view(1, 2, 1, 1)
    return in_cells, -F.max_pool2d(-valid, cell)
