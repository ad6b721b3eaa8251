"""Tables of every kind of plan, read back by the software that they are for."""

from __future__ import annotations

import csv
import importlib
import io
import json
import pkgutil
import sys
import typing

import pytest

import splitopt.planning.predictions as predictions
from splitopt import Plan, Scenario, plan
from splitopt.cli.entry import run
from splitopt.errors import CapabilityError, InfeasibleError, InputError
from splitopt.export import export_plan
from splitopt.export.registry import takes_of
from splitopt.export.tables.headings import OF_OBJECTIVE, OF_ROW, heading_of, unit_of
from splitopt.export.tables.safe_text import as_given, harmless
from splitopt.planning.predictions.base import Part

NO_UNIT = frozenset(
    {
        "adapter_rank", "aggregation_interval", "batches", "break_even_steps", "clients", "clock",
        "cluster", "cut", "devices", "devices_without_one_partner", "first_cut", "generator_steps",
        "groups", "imputed_samples", "labels", "last_cut", "layers", "load", "missing", "owners",
        "parts", "quorum", "receivers", "rounds", "seats", "slow_devices", "slowest_devices",
        "turns_with", "turns_without",
        "target", "factor", "bound_factor", "batch_factor", "interval_exponent",  # of a metric
        "round_cost", "training_cost",  # in the currency of the scenario's prices
        "batch_sizes", "channels", "cuts", "largest_cut",
    }
)  # fmt: skip
"""Counts, places, ratios of speeds and labels of classes."""
NASTY = "=cmd|'/c calc'!A0"


CURVE = {
    "format": "splitopt-rounds-curve", "version": 1, "name": "digits", "metric": "test_loss",
    "target": 0.3, "rounds": 100.0, "batch_factor": 3.0, "interval_exponent": 0.2,
    "calibrated": {
        "batch_size": [4, 32], "aggregation_interval": [1, 20], "parameter_share": [0.01, 0.9],
        "devices": 4,
    },
    "step_rule": {"optimizer": "sgd", "learning_rate": 0.1},
    "ranges": {"rounds": [90, 110], "batch_factor": [2.0, 4.0], "interval_exponent": [0.1, 0.3]},
    "median_error": 0.05,
}  # fmt: skip


def asked(name, curve=None, open_cut=False, **given):
    """Return a plan of a scenario by its name, with a curve of rounds or an open cut if asked."""
    document = Scenario.load(name).to_dict()
    if open_cut:
        document["clusters"]["cut"] = "auto"
    if curve is not None:
        section = {"curve": curve, "batch_size": [4, 16], "aggregation_interval": [1, 5]}
        document["time_to_accuracy"] = section
    return plan(Scenario.from_dict(document), time_limit_s=5, **given)


@pytest.fixture(scope="module")
def star():
    """Return a plan with a device whose name a spreadsheet would calculate."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"][2]["name"] = NASTY
    return plan(Scenario.from_dict(document))


KINDS = {
    "cut_and_resources": (("digits-splitfed", {}), {"devices", "worth"}),
    "choices": (("examples/two-servers.yaml", {}), {"devices", "servers", "freedoms", "budgets"}),
    "by group": (("examples/fleet-of-groups.yaml", {}), {"groups_cuts", "groups_rows"}),
    "common_cut": (("digits-splitfed", {"scheme": "splitfed_v2"}), {"devices", "cuts"}),
    "cluster_and_spectrum": (("digits-clusters", {}), {"clusters", "devices"}),
    "cut_and_clusters": (("digits-clusters", {"open_cut": True}), {"clusters", "devices"}),
    "cut_under_uncertainty": (("examples/cpsl-varying.yaml", {}), {"devices"}),
    "pipeline_partition": (("digits-pipeline", {}), {"devices", "nodes", "hops"}),
    "replicated_pipeline": (
        ("examples/replicas-vgg16.yaml", {}),
        {"stages", "stages_replicas"},
    ),
    "time_to_accuracy": (("digits-splitfed", {"curve": CURVE}), {"devices", "other_curves"}),
    "generator_pairing": (("digits-iotsl", {}), {"transfers", "devices"}),
}


SLOW = ("cut_under_uncertainty", "choices")
"""Whose plans take seconds to find."""


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] * (k in SLOW)) for k in KINDS]
)
def test_every_kind_of_plan_has_its_tables(tmp_path, kind):
    """Each number of the prediction stands in a table with the value that the plan has."""
    (name, given), tables = KINDS[kind]
    made = asked(name, **given)
    export_plan(made, tmp_path / "out", to="json")
    document = json.loads((tmp_path / "out" / "tables.json").read_text())["tables"]
    assert set(document) >= {"plan", *tables}
    facts = {row["name"]: row for row in document["plan"]["rows"]}
    assert facts["round_s"]["value"] == made.prediction["round_s"]
    assert (facts["round_s"]["unit"], facts["round_s"]["text"]) == ("s", None)
    assert facts["problem"]["text"] == made.problem
    written = {repr(v) for t in document.values() for row in t["rows"] for v in row.values()}
    lost = {text for text in numbers_of(made.prediction) if text not in written}
    assert not lost
    for table in document.values():
        for column in table["columns"]:
            assert column["unit"] == "" or column["heading"].endswith(
                (f"[{column['unit']}]", column["unit"])
            )


def numbers_of(data):
    """Yield every float of plain data as its repr."""
    if isinstance(data, dict):
        for value in data.values():
            yield from numbers_of(value)
    elif isinstance(data, list):
        for value in data:
            yield from numbers_of(value)
    elif isinstance(data, float):
        yield repr(data)


def test_rows_of_devices_say_what_they_do_and_what_it_takes(tmp_path, star):
    """Cut, shares, seconds and bytes of a device, against numbers of plan and profile."""
    export_plan(star, tmp_path / "out", to="csv")
    with open(tmp_path / "out" / "devices.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [as_given(row["name"]) for row in rows] == ["fast-1", "fast-2", "slow", NASTY]
    first, promised = rows[0], star.prediction["devices"][0]
    assert (first["cut behind"], first["other parts on"]) == ("pool1", "gateway")
    assert float(first["upload [s]"]) == promised["upload_s"]
    assert float(first["upload share [fraction]"]) == promised["upload_share"]
    assert float(first["activation [B/sample]"]) == 512.0  # 8 x 4 x 4 float32 behind pool1
    assert float(first["first part [B]"]) == 320.0  # 8 filters of 3 x 3 and their biases
    assert first["samples"] == "320"


@pytest.mark.parametrize("to", ["csv", "json", "parquet", "xlsx"])
def test_texts_stay_texts(tmp_path, star, to):
    """A name that is a formula is read back as that name, and calculated by nobody."""
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    if to == "xlsx":
        pytest.importorskip("xlsxwriter", reason="needs the extra 'xlsx'")
    out = tmp_path / "out"
    export_plan(star, out, to=to)
    if to == "csv":
        text = (out / "devices.csv").read_text(encoding="utf-8")
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
        assert NASTY in [as_given(cell) for cell in cells]
    elif to == "json":
        rows = json.loads((out / "tables.json").read_text())["tables"]["devices"]["rows"]
        assert NASTY in [row["name"] for row in rows]
    elif to == "parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(out / "devices.parquet")
        assert NASTY in table.column("name").to_pylist()
        assert table.column("upload [s]").to_pylist() == [
            row["upload_s"] for row in star.prediction["devices"]
        ]
        assert table.field("upload [s]").metadata == {b"key": b"upload_s", b"unit": b"s"}
    else:
        openpyxl = pytest.importorskip("openpyxl", reason="reads workbooks")
        book = openpyxl.load_workbook(out / "plan.xlsx")
        assert book.sheetnames[:2] == ["plan", "devices"]
        cells = [cell for sheet in book for row in sheet for cell in row if cell.value is not None]
        assert {cell.data_type for cell in cells} == {"s", "n"}
        assert NASTY in [cell.value for cell in cells]
        sheet = book["devices"]
        place = [cell.value for cell in sheet[1]].index("upload [s]") + 1
        found = [sheet.cell(row, place).value for row in range(2, sheet.max_row + 1)]
        expected = [row["upload_s"] for row in star.prediction["devices"]]
        assert found == pytest.approx(expected, rel=1e-15)


def test_pandas_reads_them(tmp_path, star):
    """Without an option, with the same columns and numbers from all three."""
    pandas = pytest.importorskip("pandas", reason="reads all four")
    for package in ("pyarrow", "openpyxl", "xlsxwriter"):
        pytest.importorskip(package, reason="needed by pandas or an extra")
    for to in ("csv", "parquet", "xlsx"):
        export_plan(star, tmp_path / to, to=to)
    frames = [
        pandas.read_csv(tmp_path / "csv" / "devices.csv"),
        pandas.read_parquet(tmp_path / "parquet" / "devices.parquet"),
        pandas.read_excel(tmp_path / "xlsx" / "plan.xlsx", sheet_name="devices"),
    ]
    expected = [row["round_s"] for row in star.prediction["devices"]]
    for frame, tolerance in zip(frames, (1e-14, 0, 1e-15), strict=True):
        assert frame["round [s]"].tolist() == pytest.approx(expected, rel=tolerance, abs=0)
        assert list(frame.columns) == list(frames[0].columns)


def test_a_plan_gives_the_same_bytes_again(tmp_path, star):
    """Nothing of the day or of the machine is in them."""
    pytest.importorskip("xlsxwriter", reason="needs the extra 'xlsx'")
    for name in ("one", "two"):
        export_plan(star, tmp_path / name, to="xlsx")
    one, two = ((tmp_path / name / "plan.xlsx").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r", "'", "'=1", "", "a=1"])
def test_marks_are_taken_off_again(text):
    """The inverse, and what is no formula stays as it is."""
    assert as_given(harmless(text)) == text
    assert not harmless(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert harmless("a=1") == "a=1"


def test_units_of_all_numbers_that_a_prediction_can_have():
    """A field that is added to a prediction has a unit, or is named here as one without."""
    for module in pkgutil.iter_modules(predictions.__path__):
        found = importlib.import_module(f"splitopt.planning.predictions.{module.name}")
        for kind in vars(found).values():
            if not (isinstance(kind, type) and issubclass(kind, Part)):
                continue
            for name, field in kind.model_fields.items():
                types = set(_plain_types(field.annotation))
                if not types & {int, float}:
                    continue
                known = unit_of(name, "J", in_rows=True) or name in NO_UNIT
                assert known, f"{kind.__name__}.{name} has no unit"
    assert unit_of("phases_s.upload", "J") == "s"
    assert heading_of("phases_s.upload", "s") == "phases s upload [s]"
    assert not OF_OBJECTIVE & OF_ROW


def _plain_types(annotation):
    inner = typing.get_args(annotation)
    return [annotation] if not inner else [t for item in inner for t in _plain_types(item)]


def test_written_where_there_is_no_torch(tmp_path, monkeypatch, star):
    """Tables need no model; the formats of models still say that they do."""
    monkeypatch.setitem(sys.modules, "torch", None)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "splitopt.extras.importlib.util.find_spec",
        lambda name: None if name == "torch" else find(name),
    )
    star.save(tmp_path / "plan.json")
    arguments = ["export", str(tmp_path / "plan.json"), "-o", str(tmp_path / "out"), "--to"]
    assert run([*arguments, "csv"]) == 0
    assert run([*arguments, "compose", "--force"]) == 0
    assert run([*arguments, "torch", "--force"]) == 1
    assert (takes_of("csv"), takes_of("torch")) == ("plan", "model")


def test_an_export_replaces_another_and_nothing_else(tmp_path, star):
    """Also one of parts by tables; a table that was edited stays."""
    out = tmp_path / "out"
    export_plan(star, out, to="csv")
    with pytest.raises(InputError, match="--force"):
        export_plan(star, out, to="json")
    export_plan(star, out, to="json", force=True)
    assert sorted(path.name for path in out.iterdir()) == ["export.json", "tables.json"]
    (out / "tables.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds 'tables.json', which no export wrote"):
        export_plan(star, out, to="csv", force=True)


def test_a_file_of_that_name_that_is_no_manifest_stays(tmp_path, star):
    """Other programs write an export.json, too."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "export.json").write_text('{"files": {}, "mine": 1}')
    with pytest.raises(InputError, match=r"holds 'export.json', which no export wrote"):
        export_plan(star, out, to="csv", force=True)
    assert json.loads((out / "export.json").read_text())["mine"] == 1


def test_what_does_not_go_with_tables_is_refused(tmp_path, monkeypatch, star):
    """Nothing that is given is ignored."""
    out = tmp_path / "out"
    for given, words in (
        ({"model": "cnn"}, r"model: is about a model, and csv is written from the plan alone"),
        ({"classes": 3}, r"classes: is about a model"),
        ({"weights": "w.safetensors"}, r"weights: is about a model"),
        ({"image": "mine"}, r"image: is for compose and kubernetes, and not for csv"),
    ):
        with pytest.raises(InputError, match=words):
            export_plan(star, out, to="csv", **given)
    data = star.to_dict()
    none = Plan(**{**vars(star), "decision": None, "prediction": None})
    assert data["decision"] is not None
    with pytest.raises(InfeasibleError, match="there is nothing to export"):
        export_plan(none, out, to="csv")
    monkeypatch.setattr("splitopt.export.registry.importlib.util.find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=r"needs xlsxwriter.*splitopt\[xlsx\]"):
        export_plan(star, out, to="xlsx")
    assert not out.exists()
