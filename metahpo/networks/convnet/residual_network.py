"""A small residual network for images, and random augmentation for its training.

Pre-activated residual blocks (He et al., ECCV 2016) in stages; between stages the resolution halves and the number of
channels doubles; at the end the mean over all places, dropout, and one linear layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from metahpo.numerics.device import SINGLE

#: Resolution halves no further where a side is below this.
LEAST_SIDE = 4
#: Of an augmentation of strength one: degrees, and shares of the image.
ROTATION, SCALE, SHIFT, SHEAR = 20.0, 0.15, 0.12, 0.2


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(channels, dtype=SINGLE), nn.BatchNorm2d(channels, dtype=SINGLE)
        self.into = nn.Conv2d(channels, channels, kernel, padding="same", bias=False, dtype=SINGLE)
        self.out = nn.Conv2d(channels, channels, kernel, padding="same", bias=False, dtype=SINGLE)

    def forward(self, x: Tensor) -> Tensor:
        """Output of the shape of `x`."""
        changed = self.into(functional.relu(self.first(x)))
        changed = self.out(functional.relu(self.second(changed)))
        y: Tensor = x + changed
        return y


class ResidualNetwork(nn.Module):
    """Logits (n, n_classes) of images (n, channels, h, w).

    Parameters
    ----------
    channels : int
    side : int
        The smaller of height and width.
    n_classes : int
    width : int
        Channels of the first stage.
    stages, blocks : int
        Stages, as far as the images are large enough, and residual blocks of each.
    kernel_size : int
    pooling : {"max", "average", "stride"}
        How resolution halves.
    dropout : float
    """

    def __init__(
        self,
        channels: int,
        side: int,
        n_classes: int,
        width: int,
        stages: int,
        blocks: int,
        kernel_size: int,
        pooling: str,
        dropout: float,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(channels, width, kernel_size, padding="same", bias=False, dtype=SINGLE)]
        for stage in range(stages):
            if stage:
                if side // 2 < LEAST_SIDE:
                    break
                parts.append(_halving(width, pooling))
                side, width = side // 2, 2 * width
            parts += [ResidualBlock(width, kernel_size) for _ in range(blocks)]
        parts += [nn.BatchNorm2d(width, dtype=SINGLE), nn.ReLU()]
        self.body = nn.Sequential(*parts)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, n_classes, dtype=SINGLE)
        self.to(memory_format=torch.channels_last)  # as the images, or each convolution reorders its weights

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        places = self.body(images.contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.output(self.dropout(places.mean(dim=(2, 3))))
        return logits


def _halving(width: int, pooling: str) -> nn.Module:
    """Half the resolution, twice the channels."""
    if pooling == "stride":
        return nn.Conv2d(width, 2 * width, 2, stride=2, bias=False, dtype=SINGLE)
    pool: nn.Module = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
    return nn.Sequential(pool, nn.Conv2d(width, 2 * width, 1, bias=False, dtype=SINGLE))


def augmentation(strength: float, flip: bool) -> Callable[[list[Tensor], torch.Generator], list[Tensor]] | None:
    """Random rotation, scale, shear and shift of every image, and its mirror image half of the time.

    Parameters
    ----------
    strength : float
        Factor of the largest changes: 20 degrees, 15 %, 20 %, and 12 % of the side.
    flip : bool
    """
    if strength == 0.0 and not flip:
        return None

    def change(inputs: list[Tensor], draw: torch.Generator) -> list[Tensor]:
        (images,) = inputs
        n = len(images)
        u = 2.0 * torch.rand((6, n), generator=draw, dtype=SINGLE) - 1.0
        angle, shear = math.radians(ROTATION) * strength * u[0], SHEAR * strength * u[1]
        scale = torch.exp(SCALE * strength * u[2])
        mirror = torch.sign(u[3]) if flip else torch.ones(n, dtype=SINGLE)
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        top = torch.stack([cos * mirror, shear - sin, 2.0 * SHIFT * strength * u[4]], dim=1)
        bottom = torch.stack([sin * mirror, cos, 2.0 * SHIFT * strength * u[5]], dim=1)
        grid = functional.affine_grid(
            torch.stack([top, bottom], dim=1).to(images.device), list(images.shape), align_corners=False
        )
        return [functional.grid_sample(images, grid, padding_mode="border", align_corners=False)]

    return change
