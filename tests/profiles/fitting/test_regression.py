"""Fitting curves to a profile's columns, against the coefficients that DP-MORA prints."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile, load_profile
from splitopt.profiles.fitting.regression import fit_curve, fit_profile, with_curves


@pytest.fixture(scope="module")
def fits():
    return fit_profile(load_profile("resnet18-imagenet"))


@pytest.mark.slow
def test_model_size_is_the_papers_curve(fits):
    """Table 1: 0.9746 x^2 - 5.58 x + 6.528 MiB for ResNet-18, chosen by cross-validation."""
    fit = fits["device_model_bytes"]
    assert fit.curve.family == "quadratic"
    found = [value / 2**20 for value in fit.curve.coefficients]
    assert [float(f"{value:.4g}") for value in found] == [0.9746, -5.58, 6.528]
    assert fit.rmse / 2**20 == pytest.approx(3.235, abs=1e-3)
    assert fit.negative_cuts == (2, 3, 4)


@pytest.mark.slow
def test_work_is_the_papers_curve(fits):
    """Table 1: -0.01597 x^2 + 0.7705 x - 0.4282 G MAC for both passes, RMSE 0.115."""
    pair = fits["device_forward_flop"], fits["device_backward_flop"]
    assert {fit.curve.family for fit in pair} == {"quadratic"}
    total = np.sum([fit.curve.coefficients for fit in pair], axis=0) / 2e9
    assert [float(f"{value:.4g}") for value in total] == [-0.01597, 0.7705, -0.4282]
    assert sum(fit.rmse for fit in pair) / 2e9 == pytest.approx(0.115, abs=1e-3)


def test_smashed_data_is_the_papers_curve():
    """Activations before the pooling and the 1000 outputs: 3.2028 / x - 0.3443 MiB, reciprocal."""
    side = {64: 56, 128: 28, 256: 14, 512: 7}
    blocks = [channels * side[channels] ** 2 for channels in side for _ in range(2)]
    mebibytes = np.array([64 * 112**2, *blocks, 1000]) * 4 / 2**20
    fit = fit_curve(mebibytes)
    assert fit.curve.family == "reciprocal"
    assert fit.curve.coefficients == pytest.approx((3.2028, -0.3443), abs=6e-5)
    assert fit.negative_cuts == (10,)


@pytest.mark.parametrize(
    ("family", "law"),
    [
        ("linear", lambda x: 3 * x + 1),
        ("quadratic", lambda x: 2 * x**2 - x + 4),
        ("reciprocal", lambda x: 5 / x + 2),
        ("logarithmic", lambda x: 4 * np.log(x) + 1),
    ],
)
def test_a_law_is_recognised(family, law):
    """Numbers that follow one family exactly are fitted by it, with no error left."""
    cuts = [1, 2, 3, 5, 8, 9, 12]
    fit = fit_curve(law(np.array(cuts)), cuts)
    assert fit.validated[family] == pytest.approx(0, abs=1e-9)
    assert fit.rmse == pytest.approx(0, abs=1e-9)
    assert fit.curve(20.5) == pytest.approx(law(20.5))


def test_validation_leaves_one_out():
    """The error that chooses is that of predicting each cut from the others, by hand."""
    y = np.array([1.0, 4.0, 2.0, 5.0, 9.0])
    x = np.arange(1, 6)
    errors = []
    for out in range(5):
        kept = np.arange(5) != out
        errors.append(np.polyval(np.polyfit(x[kept], y[kept], 1), x[out]) - y[out])
    fit = fit_curve(y, families=["linear"])
    assert fit.validated == {"linear": pytest.approx(np.sqrt(np.mean(np.square(errors))))}


@pytest.mark.slow
def test_the_profile_says_what_was_fitted(fits):
    """Curves join the table, the note names where they are negative, and both survive a file."""
    profile = load_profile("resnet18-imagenet")
    fitted = with_curves(profile, fits)
    assert "device_model_bytes at cut 2, 3, 4" in fitted.provenance.notes[-1]
    again = ModelProfile.from_dict(fitted.to_dict(), "again")
    assert again == fitted
    assert again.device_model_bytes.tolist() == profile.device_model_bytes.tolist()


def test_cuts_can_be_left_out():
    """Without the last cut, where nothing crosses, the fit of the smashed data stays above zero."""
    profile = load_profile("resnet18-imagenet")
    only = {name: ["linear"] for name in ModelProfile.REQUIRED}
    whole, part = fit_profile(profile, only), fit_profile(profile, only, range(1, 10))
    assert whole["smashed_bytes"].negative_cuts == (10,)
    assert part["smashed_bytes"].negative_cuts == ()


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([1.0, 2.0, 3.0], {"families": ["cubic"]}, "families: 'cubic' is unknown"),
        ([1.0, -2.0, 3.0], {}, "values: entry 2 is -2"),
        ([1.0, 2.0], {}, "too few to validate"),
        ([1.0, 2.0, 3.0], {"cuts": [0, 1, 2]}, "cuts: must be different whole numbers"),
        ([1.0, 2.0, 3.0], {"cuts": [1, 1, 2]}, "cuts: must be different"),
        ([1.0, 2.0, 3.0], {"cuts": [1, 2]}, "values: has 3 numbers"),
    ],
)
def test_bad_columns_are_refused(values, options, words):
    """What cannot be fitted is named in one sentence."""
    with pytest.raises(InputError, match=words):
        fit_curve(values, **options)


def test_bad_columns_and_cuts_of_a_profile_are_refused():
    """A column or a cut that the profile does not have is named."""
    profile = load_profile("resnet18-imagenet")
    with pytest.raises(InputError, match="'colour' is not one of"):
        fit_profile(profile, {"colour": ["linear"]})
    with pytest.raises(InputError, match="11 is not a cut from 1 to 10"):
        fit_profile(profile, cuts=[1, 2, 11])
