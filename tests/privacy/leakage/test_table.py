"""Tables of leakage: what is measured, kept, put into profiles and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.privacy.leakage.settings import LeakageSettings
from splitopt.privacy.leakage.table import LeakageRow, LeakageTable, Spread
from splitopt.profiles import ModelProfile, Provenance

LAYERS = ("a", "b", "c")


def _table(means=((0.5, 0.4), (0.7, 0.6)), std=0.02):
    """Two cuts; (gradient matching, feature inversion) at each."""
    names = ("gradient_matching", "feature_inversion")
    rows = [
        LeakageRow(
            cut, LAYERS[cut - 1], name, "white", measure, Spread(m, std, m - 0.1, m + 0.1, 5)
        )
        for cut, own in enumerate(means, start=1)
        for name, m in zip(names, own, strict=True)
        for measure in ("cosine", "centred_cosine")
    ]
    settings = LeakageSettings(views=("white",)).to_dict()
    return LeakageTable(
        "net",
        LAYERS,
        (4.0, 8.0, 12.0),
        "digits",
        "0" * 64,
        "untrained weights",
        settings,
        tuple(rows),
    )


def _profile(**changed):
    columns = {
        name: np.zeros(3)
        for name in ModelProfile.REQUIRED
        if name not in ("layer_parameter_bytes",)
    }
    columns["device_model_bytes"] = np.array([4.0, 8.0, 12.0])
    given = {"name": "net", "layers": LAYERS, "work_unit": "FLOP", **columns, **changed}
    return ModelProfile(provenance=Provenance("computed", "by hand"), **given)


def test_the_column_is_the_worst_attack_made_monotone_and_nothing_at_the_end():
    assert _table().column().tolist() == [0.7, 0.7, 0.0]
    assert _table(((0.9, 0.2), (0.3, 0.6))).column().tolist() == [0.9, 0.6, 0.0]
    assert _table().column(bound="high") == pytest.approx([0.8, 0.8, 0.0])


def test_the_column_stays_within_0_and_1():
    assert _table(((1.0, 0.2), (-0.3, -0.6))).column(bound="high").tolist() == [1.0, 0.0, 0.0]


def test_a_profile_gets_the_column_its_intervals_and_its_method(tmp_path):
    found = _table().onto(_profile())
    assert found.leakage.tolist() == [0.7, 0.7, 0.0]
    assert found.state_of("leakage") == "measured"
    assert found.leakage_record.low == pytest.approx([0.6, 0.6, 0])
    assert "8 samples of digits" in found.leakage_record.method
    found.save(tmp_path / "net.json")
    assert ModelProfile.load(tmp_path / "net.json") == found


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "net", "layers": ("a", "b", "x")},
        {"device_model_bytes": np.array([4.0, 8.0, 16.0])},
    ],
)
def test_a_table_of_another_model_is_refused(changed):
    with pytest.raises(InputError, match=r"not of net \(3 layers, .*measure the profile's own"):
        _table().onto(_profile(**changed))


def test_a_cut_that_was_not_attacked_leaves_no_column():
    table = replace(_table(), rows=tuple(row for row in _table().rows if row.cut == 1))
    with pytest.raises(InputError, match=r"no white box reconstruction gives the cosine of cut 2"):
        table.column()


def test_a_file_is_read_as_it_was_written(tmp_path):
    _table().save(tmp_path / "t.json")
    assert LeakageTable.load(tmp_path / "t.json").to_dict() == _table().to_dict()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rows", 0, "cut"), 3),
        (("rows", 0, "attack"), "guessing"),
        (("model_bytes",), [1.0]),
        (("settings", "samples"), 0),
        (("settings", "views"), []),
        (("accuracy",), 2.0),
        (("layers",), []),
        (("version",), 9),
    ],
)
def test_a_file_that_does_not_hold_is_refused(tmp_path, path, value):
    document = _table().to_dict()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "t.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"t\.json"):
        LeakageTable.load(tmp_path / "t.json")


def test_the_spread_is_that_of_students_t():
    found = Spread.of([1.0, 2.0, 3.0, 4.0])
    assert (found.mean, found.std) == pytest.approx((2.5, 1.2909944487358056))
    assert found.high - found.mean == pytest.approx(3.182446 * found.std / 2, rel=1e-6)  # t, 3 d.f.


@pytest.mark.parametrize(
    "wrong",
    [
        {"attacks": ("guessing",)},
        {"attacks": ()},
        {"views": ("grey",)},
        {"samples": 1},
        {"samples": 4, "batch": 5},
        {"steps": 0},
        {"seed": -1},
        {"epochs": 2.5},
    ],
)
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(InputError):
        LeakageSettings(**wrong)
