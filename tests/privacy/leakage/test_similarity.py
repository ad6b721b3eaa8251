"""Measures of likeness against their definitions, written out."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from splitopt.privacy.leakage import similarity  # noqa: E402

pytestmark = pytest.mark.train


def _images(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def test_the_structural_similarity_is_the_mean_over_windows():
    own, other = _images(2, 3, 9, 11), _images(2, 3, 9, 11, seed=1)
    expected = np.zeros(2)
    for n in range(2):
        values = []
        for c in range(3):
            for y in range(9 - 6):
                for x in range(11 - 6):
                    a = own[n, c, y : y + 7, x : x + 7].numpy().ravel()
                    b = other[n, c, y : y + 7, x : x + 7].numpy().ravel()
                    both = np.cov(a, b)
                    low, high = 0.01**2, 0.03**2
                    values.append(
                        (2 * a.mean() * b.mean() + low)
                        * (2 * both[0, 1] + high)
                        / (a.mean() ** 2 + b.mean() ** 2 + low)
                        / (both[0, 0] + both[1, 1] + high)
                    )
        expected[n] = np.mean(values)
    assert similarity.ssim(own, other, 1.0).numpy() == pytest.approx(expected, rel=1e-9)
    assert similarity.ssim(own, own, 1.0).numpy() == pytest.approx([1, 1])


def test_images_smaller_than_a_window_have_one_too():
    own = _images(2, 1, 4, 4)
    assert similarity.ssim(own, own, 1.0).tolist() == pytest.approx([1, 1])


def test_the_centred_cosine_is_the_correlation():
    own, other = _images(4, 1, 5, 5), _images(4, 1, 5, 5, seed=1)
    expected = [
        np.corrcoef(own[n].numpy().ravel(), other[n].numpy().ravel())[0, 1] for n in range(4)
    ]
    assert similarity.centred_cosine(own, other).tolist() == pytest.approx(expected)
    assert similarity.centred_cosine(own, 3 * own + 2).tolist() == pytest.approx([1] * 4)


def test_the_peak_signal_to_noise_ratio_in_decibels():
    own = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    found = torch.full_like(own, 0.2)
    assert similarity.psnr(own, found, 2.0).tolist() == pytest.approx([20.0, 20.0])
    assert similarity.psnr(own, own, 2.0).tolist() == pytest.approx([200.0, 200.0])


def test_the_distance_correlation_by_its_definition():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(13, 2)), rng.normal(size=(13, 3))

    def centred(points):
        n = len(points)
        a = np.array([[np.linalg.norm(points[i] - points[j]) for j in range(n)] for i in range(n)])
        return np.array(
            [
                [a[i, j] - a[i].mean() - a[:, j].mean() + a.mean() for j in range(n)]
                for i in range(n)
            ]
        )

    a, b = centred(x), centred(y)
    expected = np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))
    found = similarity.distance_correlation(torch.from_numpy(x), torch.from_numpy(y))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("factor", "expected"), [(3.0, 1.0), (0.0, 0.0)])
def test_proportional_distances_correlate_wholly_and_a_constant_not_at_all(factor, expected):
    x = _images(9, 4)
    assert similarity.distance_correlation(x, factor * x + 1) == pytest.approx(expected)
