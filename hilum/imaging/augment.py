"""Small changes to a film that leave its report true: turned a little, shifted, scaled, exposed differently.

A film is never mirrored: reports say left and right, and the heart lies on one side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance says of B films: ``uniform_8B`` in [-1, 1), and the grain ``noise_B1HW``, standard normal."""

    uniform_8B: Tensor
    noise_B1HW: Tensor

    @classmethod
    def of(cls, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Drawn from ``generator`` (of the processor); how much is taken from it depends on the shape alone."""
        uniform_8B = torch.rand(8, batch, generator=generator) * 2 - 1
        return cls(uniform_8B, torch.randn(batch, 1, height, width, generator=generator))

    @classmethod
    def each(cls, seeds: Sequence[int], height: int, width: int) -> Draws:
        """A film's from each of ``seeds`` alone: the same in whatever batch the film comes."""
        uniform_8B = torch.empty(8, len(seeds))
        noise_B1HW = torch.empty(len(seeds), 1, height, width)
        for place, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            uniform_8B[:, place] = torch.rand(8, generator=generator) * 2 - 1
            noise_B1HW[place].normal_(generator=generator)
        return cls(uniform_8B, noise_B1HW)

    def part(self, films: slice) -> Draws:
        """What it says of some of the films."""
        return Draws(self.uniform_8B[:, films], self.noise_B1HW[films])


def augment(
    images: Tensor,
    chance: torch.Generator | Draws,
    *,
    rotate_degrees: float = 7.0,
    shift: float = 0.04,
    scale: float = 0.08,
    contrast: float = 0.15,
    gamma: float = 0.2,
    noise: float = 0.02,
    strength: float = 1.0,
) -> Tensor:
    """A changed copy of ``images``, each image changed on its own; same shape, dtype and device.

    ``images`` is (B, H, W) or (B, C, H, W), floating, in [0, 1], and so is what comes back. The channels of
    an image change alike. ``chance`` is what was drawn for them, or the generator (of the processor) to draw it
    from; it does not depend on the settings, which are the ends of uniform ranges:

    - ``rotate_degrees``: turned by ± this about the middle;
    - ``shift``: moved by ± this share of the height and the width;
    - ``scale``: enlarged or reduced by up to this share (0.08: between 1/1.08 and 1.08);
    - ``contrast``: spread about middle grey by a factor of up to 1 + this, or its inverse;
    - ``gamma``: brightness raised to a power between exp(−gamma) and exp(gamma);
    - ``noise``: Gaussian noise with a standard deviation of up to this.

    ``strength`` multiplies them all but the noise.

    What comes in over the edge is black, and black (padding, 0) stays black. Raises ValueError for another
    shape or kind of tensor, or a negative setting.
    """
    if images.dim() not in (3, 4) or not images.is_floating_point():
        raise ValueError(
            f"images must be floating (B, H, W) or (B, C, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    if min(rotate_degrees, shift, scale, contrast, gamma, noise, strength) < 0:
        raise ValueError("the settings of augment are ends of ranges and cannot be negative")
    rotate_degrees, shift, scale, contrast, gamma = (
        strength * one for one in (rotate_degrees, shift, scale, contrast, gamma)
    )
    images_BCHW = images if images.dim() == 4 else images[:, None]
    batch, _, height, width = images_BCHW.shape
    drawn = chance if isinstance(chance, Draws) else Draws.of(batch, height, width, chance)
    draws_8B, noise_B1HW = drawn.uniform_8B, drawn.noise_B1HW

    angle_B = draws_8B[0] * math.radians(rotate_degrees)
    size_B = torch.exp(draws_8B[1] * math.log1p(scale))
    theta_B23 = _affine(angle_B, size_B, draws_8B[2] * shift, draws_8B[3] * shift, height, width)
    grid_BHW2 = _grid(theta_B23.to(images_BCHW), height, width)
    moved_BCHW = functional.grid_sample(images_BCHW, grid_BHW2, padding_mode="zeros", align_corners=False)

    contrast_B = torch.exp(draws_8B[4] * math.log1p(contrast))
    gamma_B = torch.exp(draws_8B[5] * gamma)
    noise_B = (draws_8B[6] + 1) / 2 * noise
    spread, power, grain = (
        one.to(images_BCHW)[:, None, None, None] for one in (contrast_B, gamma_B, noise_B)
    )
    # In place: what is new in memory costs more here than what is computed.
    shown_BCHW = moved_BCHW.clamp(0, 1).pow_(power).sub_(0.5).mul_(spread).add_(0.5)
    shown_BCHW.addcmul_(grain, noise_B1HW.to(images_BCHW)).clamp_(0, 1).mul_(moved_BCHW > 0)
    return shown_BCHW if images.dim() == 4 else shown_BCHW[:, 0]


def _affine(
    angle_B: Tensor, size_B: Tensor, right_B: Tensor, down_B: Tensor, height: int, width: int
) -> Tensor:
    """(B, 2, 3): where each place of the new image is taken from, in ``affine_grid``'s coordinates (−1 to 1).

    A turn by ``angle_B`` (radians, clockwise as seen), then a scaling by ``size_B`` > 0, then a shift by
    shares of the width and the height; rigid in pixels, whatever the ratio of the sides. The determinant is
    1 / size² > 0: no mirror image can come out.
    """
    cosine, sine = torch.cos(angle_B) / size_B, torch.sin(angle_B) / size_B
    ratio = height / width
    row_x = (cosine, sine * ratio, -2 * (cosine * right_B + sine * ratio * down_B))
    row_y = (-sine / ratio, cosine, -2 * (-sine / ratio * right_B + cosine * down_B))
    return torch.stack([torch.stack(row_x, dim=1), torch.stack(row_y, dim=1)], dim=1)


def _grid(theta_B23: Tensor, height: int, width: int) -> Tensor:
    """``affine_grid`` of ``theta_B23`` without corners aligned, (B, H, W, 2): by sums, a fifth of the time."""
    across_W, down_H = (
        (torch.arange(side, device=theta_B23.device, dtype=theta_B23.dtype) * 2 + 1) / side - 1
        for side in (width, height)
    )
    columns_BW2 = theta_B23[:, None, :, 0] * across_W[:, None] + theta_B23[:, None, :, 2]
    rows_BH2 = theta_B23[:, None, :, 1] * down_H[:, None]
    return columns_BW2[:, None] + rows_BH2[:, :, None]
