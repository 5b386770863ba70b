"""Augmentation: small, a function of its generator alone, and never a mirror image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hilum.imaging.augment import Draws, _affine, _grid, augment
from tests import films

NONE: dict[str, Any] = dict.fromkeys(["rotate_degrees", "shift", "scale", "contrast", "gamma", "noise"], 0.0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 8, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.stack(
        [torch.from_numpy(films.grey(height, width, seed=seed)).float() / 255 for seed in range(count)]
    )


def test_a_marker_at_the_upper_left_stays_there() -> None:
    images_BHW = torch.zeros(200, 64, 48)
    images_BHW[:, 6:14, 5:13] = 1.0
    changed_BHW = augment(images_BHW, seeded(3), rotate_degrees=20, shift=0.08, scale=0.2)
    for image_HW in changed_BHW.numpy():
        rows, cols = np.nonzero(image_HW > 0.5)
        assert rows.mean() < 32 and cols.mean() < 24


def test_the_order_of_three_marks_is_never_mirrored() -> None:
    """Three marks, dim, middle, bright, clockwise round the middle: they stay clockwise."""
    images_BHW = torch.zeros(200, 65, 65)
    for value, (row, col) in zip((0.35, 0.65, 1.0), ((14, 14), (14, 50), (50, 32)), strict=True):
        images_BHW[:, row - 5 : row + 6, col - 5 : col + 6] = value
    changed_BHW = augment(
        images_BHW, seeded(9), **{**NONE, "rotate_degrees": 180.0, "shift": 0.03, "scale": 0.1}
    )
    turned = 0
    for image_HW in changed_BHW.numpy():
        dim, middle, bright = (
            np.argwhere(abs(image_HW - value) < 0.1).mean(axis=0) for value in (0.35, 0.65, 1.0)
        )
        one, two = middle - dim, bright - dim
        assert one[1] * two[0] - one[0] * two[1] > 0
        turned += abs(one[0]) > abs(one[1])
    assert turned > 50  # the turns were real


def test_the_generator_alone_decides() -> None:
    images_BHW = batch()
    torch.manual_seed(1)
    first = augment(images_BHW, seeded(5))
    torch.manual_seed(2)
    assert torch.equal(first, augment(images_BHW, seeded(5)))
    assert not torch.equal(first, augment(images_BHW, seeded(6)))
    before = torch.get_rng_state()
    augment(images_BHW, seeded(5))
    assert torch.equal(before, torch.get_rng_state())


def test_a_film_with_its_own_seed_is_changed_alike_in_whatever_batch_it_comes() -> None:
    images_BHW, seeds = batch(), [11, 5, 11, 2**55, 7, 8, 9, 10]
    whole = augment(images_BHW, Draws.each(seeds, 64, 64))
    for some in ([3], [4, 0], [7, 6, 5, 4, 3, 2, 1, 0]):
        alone = augment(images_BHW[some], Draws.each([seeds[place] for place in some], 64, 64))
        torch.testing.assert_close(alone, whole[some], atol=1e-6, rtol=0)
    drawn = Draws.each(seeds, 64, 64)
    assert torch.equal(drawn.noise_B1HW[0], drawn.noise_B1HW[2])
    assert torch.equal(drawn.uniform_8B[:, 0], drawn.uniform_8B[:, 2])
    assert len({tuple(row.tolist()) for row in drawn.uniform_8B.T}) == 7


def test_draws_of_many_seeds_are_even_and_normal() -> None:
    drawn = Draws.each(range(2000), 8, 8)
    assert drawn.uniform_8B.min() >= -1 and drawn.uniform_8B.max() < 1
    counts = np.histogram(drawn.uniform_8B.numpy(), bins=10, range=(-1, 1))[0] / (8 * 2000)
    np.testing.assert_allclose(counts, 0.1, atol=0.01)
    assert abs(np.corrcoef(drawn.uniform_8B.numpy()) - np.eye(8)).max() < 0.1
    assert abs(drawn.noise_B1HW.mean()) < 0.01 and drawn.noise_B1HW.std() == pytest.approx(1, abs=0.01)


def test_places_are_those_of_affine_grid() -> None:
    angle_B, size_B, right_B, down_B = torch.tensor([[0.3, -2.0], [0.9, 1.2], [0.1, 0.0], [-0.2, 0.4]])
    theta_B23 = _affine(angle_B, size_B, right_B, down_B, 31, 48)
    theirs = torch.nn.functional.affine_grid(theta_B23, [2, 1, 31, 48], align_corners=False)
    torch.testing.assert_close(_grid(theta_B23, 31, 48), theirs, atol=1e-6, rtol=0)


def test_how_much_is_drawn_does_not_depend_on_the_settings() -> None:
    plain, wild = seeded(4), seeded(4)
    augment(batch(), plain, **NONE)
    augment(batch(), wild, rotate_degrees=30, noise=0.1)
    assert torch.equal(plain.get_state(), wild.get_state())


def test_nothing_asked_changes_nothing() -> None:
    images_BHW = batch()
    torch.testing.assert_close(augment(images_BHW, seeded(0), **NONE), images_BHW, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(4, 32, 40), (4, 1, 32, 40), (4, 3, 32, 40)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_kind_and_range_are_kept_and_the_input_untouched(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    images = torch.rand(shape, dtype=dtype, generator=seeded(0))
    before = images.clone()
    changed = augment(images, seeded(1), contrast=1.0, gamma=1.0, noise=0.5)
    assert changed.shape == images.shape and changed.dtype == dtype
    assert changed.min() >= 0 and changed.max() <= 1 and torch.isfinite(changed).all()
    assert torch.equal(images, before)


def test_images_change_each_on_their_own_and_channels_together() -> None:
    one = batch(1).expand(6, -1, -1)
    changed_BHW = augment(one, seeded(1))
    assert len({image.numpy().tobytes() for image in changed_BHW}) == 6
    three = augment(one[:, None].expand(-1, 3, -1, -1), seeded(1))
    assert torch.equal(three[:, 0], three[:, 1]) and torch.equal(three[:, 0], three[:, 2])
    assert torch.equal(three[:, 0], changed_BHW)


def test_padding_stays_black() -> None:
    images_BHW = batch(30)
    images_BHW[:, :, :20] = 0
    images_BHW[:, :, 44:] = 0
    changed_BHW = augment(images_BHW, seeded(2))
    assert not changed_BHW[:, 20:44, :8].any() and not changed_BHW[:, 20:44, 56:].any()
    assert changed_BHW[:, 28:36, 28:36].min() > 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rotate_degrees", 10.0), ("shift", 0.1), ("scale", 0.2), ("gamma", 0.5), ("noise", 0.1)],
)
def test_every_setting_does_something_of_its_own(setting: str, value: float) -> None:
    images_BHW = batch(40)
    changed_BHW = augment(images_BHW, seeded(8), **{**NONE, setting: value})
    assert (changed_BHW - images_BHW).abs().mean() > 0.005


@pytest.mark.parametrize("turn", [0.0, 45.0])
def test_shifts_stay_within_their_bound_and_use_it(turn: float) -> None:
    images_BHW = torch.zeros(300, 101, 201)
    images_BHW[:, 50, 100] = 1.0
    changed_BHW = augment(images_BHW, seeded(8), **{**NONE, "shift": 0.1, "rotate_degrees": turn}).numpy()
    places = np.array([np.unravel_index(image.argmax(), image.shape) for image in changed_BHW]) - (50, 100)
    assert abs(places[:, 0]).max() in (9, 10) and abs(places[:, 1]).max() in (19, 20)
    # … across and down are drawn apart, and fill their range evenly.
    np.testing.assert_allclose(abs(places).mean(axis=0), (5, 10), rtol=0.15)
    assert abs(places.mean(axis=0)).max() < 2


def test_a_turn_is_rigid_in_pixels_whatever_the_sides() -> None:
    images_BHW = torch.zeros(40, 101, 201)
    images_BHW[:, 50, 140] = 1.0
    changed_BHW = augment(images_BHW, seeded(8), **{**NONE, "rotate_degrees": 45.0}).numpy()
    for image_HW in changed_BHW:
        row, col = np.unravel_index(image_HW.argmax(), image_HW.shape)
        assert np.hypot(row - 50, col - 100) == pytest.approx(40, abs=1.0)


def test_what_is_no_batch_of_images_is_refused() -> None:
    for bad in (torch.zeros(8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="images must be floating"):
            augment(bad, seeded(0))
    with pytest.raises(ValueError, match="negative"):
        augment(batch(), seeded(0), shift=-0.1)
