"""Profiles of inference with a backward pass from the forward pass."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import ModelProfile
from splitopt.errors import InputError
from splitopt.profiles import read, with_backward

HEADER = "layer,forward_flop,backward_flop,output_bytes,gradient_bytes,parameter_bytes"


@pytest.fixture
def inferred(tmp_path):
    """Return a profile of two layers, on a machine with and one without backward passes."""
    (tmp_path / "net.csv").write_text(f"{HEADER}\na,5,0,8,0,4\nb,7,0,2,0,4\n")
    profile = read(tmp_path / "net.csv")
    for name, rows in (("phone", "4,0,1\n0,0,0\n"), ("gpu", "1,3,0\n2,1,0\n")):
        (tmp_path / f"net__{name}.csv").write_text(rows)
        profile = read(tmp_path / f"net__{name}.csv", profile, batch=2)
    return profile


def test_what_is_missing_is_taken_from_the_forward_pass(inferred):
    """Times of the one machine, work, gradients; what is measured stays, and all is said."""
    trained = with_backward(inferred, 2.5)
    phone, gpu = trained.machines["phone"], trained.machines["gpu"]
    np.testing.assert_allclose(phone.backward_s, [0.005, 0], rtol=1e-15)
    np.testing.assert_allclose(phone.update_s, [0.0005, 0])
    assert phone.measured.tolist() == [True, False]
    assert phone.batch == 2
    np.testing.assert_array_equal(gpu.backward_s, inferred.machines["gpu"].backward_s)
    assert trained.device_backward_flop.tolist() == [12.5, 30]
    assert trained.server_backward_flop.tolist() == [17.5, 0]
    assert trained.gradient_bytes.tolist() == [8, 0]
    assert set(trained.guesses()) >= {"device_backward_flop", "gradient_bytes"}
    assert trained.provenance.fills == (
        "phone: backward passes are taken to be 2.5 times the forward passes.",
    )
    assert ModelProfile.from_dict(trained.to_dict(), "copy").to_dict() == trained.to_dict()
    assert not inferred.device_backward_flop.any()


def test_nothing_to_add_and_no_ratio_are_refused(inferred):
    with pytest.raises(InputError, match="has backward passes already"):
        with_backward(with_backward(inferred))
    for ratio, words in ((0, "is 0; give"), (-1, ">= 0"), ("2", "not a number"), (True, "not a")):
        with pytest.raises(InputError, match=words):
            with_backward(inferred, ratio)
