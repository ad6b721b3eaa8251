"""Fleets from files: the same devices as entries, and every wrong cell named by row and column."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitopt import InputError, Scenario
from splitopt.documents import column_files
from splitopt.errors import CapabilityError
from splitopt.latency.groups import groups_of, phase_factors, sketched
from splitopt.latency.split_federated import phase_seconds
from splitopt.scenario import device_list
from splitopt.scenario.columns import DeviceColumns, read_device_file

HEADER = "name,compute [GFLOP/s],uplink [Mbit/s],memory [GB],samples,batch_size,count"
ROWS = ["pi,3.62,10.5,4,3000,32,2", "lap,400,,16,8000,,1", "jet,1200.5,55,,5000,16,3"]
FLEET = """\
format: splitopt-scenario
version: 1
name: office
model: resnet18-imagenet
devices: {file: fleet.csv}
links: {downlink: 100 Mbit/s, uplink: 50 Mbit/s}
servers: [{name: edge, compute: 2 TFLOP/s}]
"""


def load(folder: Path, text: str | bytes, name: str = "fleet.csv") -> Scenario:
    """Load the fleet with this file."""
    data = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(data)
    (folder / "fleet.yaml").write_text(FLEET.replace("fleet.csv", name))
    return Scenario.load(folder / "fleet.yaml")


def table(*rows: str, header: str = HEADER) -> str:
    return "\n".join((header, *rows)) + "\n"


def test_a_small_file_is_as_if_its_devices_were_listed(tmp_path: Path) -> None:
    scenario = load(tmp_path, table(*ROWS))
    listed = Scenario.from_dict(
        scenario.to_dict()
        | {
            "devices": [
                {"name": "pi", "compute": "3.62 GFLOP/s", "uplink": "10.5 Mbit/s", "count": 2,
                 "memory": "4 GB", "samples": 3000, "batch_size": 32},
                {"name": "lap", "compute": "400 GFLOP/s", "memory": "16 GB", "samples": 8000},
                {"name": "jet", "compute": "1200.5 GFLOP/s", "uplink": "55 Mbit/s", "count": 3,
                 "samples": 5000, "batch_size": 16},
            ]
        }
    )  # fmt: skip
    assert scenario == listed
    assert isinstance(scenario.devices, tuple)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.replace("pi,", '"pi",'),
        lambda text: text.replace(",", " , "),
        lambda text: text.replace("\npi", "\n\n,,,,,,\npi") + "\n\n",
        lambda text: text.replace("GFLOP/s", " GFLOP/s "),
    ],
)
def test_any_writer_of_csv_will_do(tmp_path: Path, change: Any) -> None:
    assert load(tmp_path, change(table(*ROWS))) == load(tmp_path, table(*ROWS))


def test_a_large_file_stays_columns_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = load(tmp_path, table(*ROWS))
    monkeypatch.setattr(device_list, "AS_ENTRIES", 2)
    columns = load(tmp_path, table(*ROWS))
    assert isinstance(columns.devices, DeviceColumns)
    assert tuple(columns.devices) == listed.devices
    assert columns.listed() == listed
    assert columns.device_count() == 6
    assert [one.name for one in columns.fleet()] == [one.name for one in listed.fleet()]
    again = Scenario.from_dict(columns.to_dict())
    assert again == columns
    profile = columns.load_model()
    one, other = (phase_factors(groups_of(s), s, profile) for s in (columns, listed))
    seconds = phase_seconds(listed._with(devices=tuple(
        device._with(count=1) for device in listed.devices)), profile)  # fmt: skip
    expected = (seconds.download, seconds.upload, seconds.server, seconds.device)
    for left, right, table_s in zip(one, other, expected, strict=True):
        assert (left.scales == right.scales).all()
        np.testing.assert_allclose(np.einsum("kg,kl->gl", *left), table_s, rtol=1e-12)


def test_radio_columns_give_the_rates_of_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = (
        "name,compute [GFLOP/s],samples,snr_db,channel_gain_db,transmit_power_dbm,uplink [kbit/s]"
    )
    rows = [
        "a,1,9,,,,",
        "b,1,9,20,,,",
        "c,1,9,,-60,,",
        "d,1,9,,,23,",
        "e,1,9,,-70,10,",
        "f,1,9,,,,7",
    ]
    radio = FLEET.replace(
        "links: {downlink: 100 Mbit/s, uplink: 50 Mbit/s}",
        "links:\n"
        "  downlink: {bandwidth: 10 MHz, transmit_power: 1 W, channel_gain: 1e-9, noise_density: "
        "4e-21 W/Hz}\n"
        "  uplink: {bandwidth: 5 MHz, transmit_power: 0.1 W, channel_gain: 1e-9, noise_density: "
        "4e-21 W/Hz}",
    )
    (tmp_path / "fleet.csv").write_text(table(*rows, header=header))
    (tmp_path / "fleet.yaml").write_text(radio)
    listed = groups_of(Scenario.load(tmp_path / "fleet.yaml"))
    monkeypatch.setattr(device_list, "AS_ENTRIES", 1)
    scenario = Scenario.load(tmp_path / "fleet.yaml")
    columns = groups_of(scenario)
    assert isinstance(scenario.devices, DeviceColumns)
    np.testing.assert_allclose(columns.downlink, listed.downlink, rtol=1e-12)
    np.testing.assert_allclose(columns.uplink, listed.uplink, rtol=1e-12)
    np.testing.assert_array_equal(columns.transmit_power, listed.transmit_power)
    few = sketched(scenario, columns)
    assert {device.name for device in few.devices} >= {"a", "b", "f"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (table("a,1,1,1,9,,"), None),
        ("", "has no header"),
        (HEADER + "\n", "no rows below it"),
        (table("a,1,1,1,,,"), "line 2: samples: is empty"),
        (table("a,1,1,1,9,,", "b,x,1,1,9,,"), r"line 3: compute \[GFLOP/s\]: is 'x'"),
        (table("a,1,-4,1,9,,"), r"line 2: uplink \[Mbit/s\]: is -4e\+06; it must be above 0"),
        (table("a,0,1,1,9,,"), r"line 2: compute \[GFLOP/s\]: is 0; it must be above 0"),
        (table("a,1,1,1,9,,0"), "line 2: count: is 0; it must be a whole number from 1 to 1e"),
        (table("a,1,1,1,9,,1.5"), "line 2: count: is 1.5"),
        (table("a,1,1,1,9,,1e30"), r"line 2: count: is 1e\+30"),
        (table("a,1,1,1,9,,nan"), "line 2: count: is 'nan'"),
        (table("a,1_0,1,1,9,,"), r"line 2: compute \[GFLOP/s\]: is '1_0'"),
        (table("a,inf,1,1,9,,"), r"line 2: compute \[GFLOP/s\]: is 'inf'"),
        (table("a,1e400,1,1,9,,"), "beyond all floating-point numbers"),
        (table("a,,1,1,9,,"), "line 2: .*needs exactly one of compute and machine"),
        (table("a,1,1,1,9,10,"), "line 2: batch_size: is 10, more than the 9 samples"),
        (table("a,1,1,1,9,,", "", "a,1,1,1,9,,"), "line 4: name: the name 'a' stands twice"),
        (table("a,1,1,1,9,,3", "a-2,1,1,1,9,,"), "line 3: name: the name 'a-2' stands twice"),
        (table(",1,1,1,9,,"), "line 2: name: is empty"),
        (table("a\x1b[31m,1,1,1,9,,"), "line 2: name: .*control"),
        (table("a,1,1,1,9,"), "line 2 has 6 cells, the header has 7"),
        (table('"a,1,1,1,9,,'), "is not CSV"),
        (table("a,9", header="name,samples"), "there is no column 'compute"),
        (table("a,9", header="name,compute [GFLOP/s]"), "there is no column 'samples'"),
        (table("1,9", header="compute [GFLOP/s],samples"), "there is no column 'name'"),
        (table("a,1,9", header="name,compute,samples"), r"write it as 'compute \[GFLOP/s\]'"),
        (table("a,1,9", header="name,compute [GB],samples"), "is not a unit of compute speed"),
        (table("a,1,9", header="name,compute [GFLAP/s],samples"), "the unit 'GFLAP/s' is unknown"),
        (table("a,1,9,1", header="name,compute [FLOP/s],samples,uplink [mbit/s]"), "m for milli"),
        (table("a,1,9", header="name,compute [FLOP/s],samples [GB]"), "has no unit"),
        (table("a,1,9,1", header="name,compute [FLOP/s],samples,sample"), "did you mean 'samples'"),
        (table("a,1,9,1", header="name,compute [FLOP/s],samples,samples"), "stands twice"),
        (table("a,1,9,1", header="name,compute [FLOP/s],samples,compute [GFLOP/s]"), "same column"),
        (table("a,1,9,1,1", header="name,compute [FLOP/s],samples,snr,snr_db"), "both given"),
        (table("a,1,9,2000", header="name,compute [FLOP/s],samples,snr_db"), "from -1000 to 1000"),
        (table("a,1,9,2", header="name,compute [FLOP/s],samples,leakage_limit"), "from 0 to 1"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named(tmp_path: Path, text: str, words: str | None) -> None:
    if words is None:
        assert load(tmp_path, text).device_count() == 1
        return
    with pytest.raises(InputError, match=words) as caught:
        load(tmp_path, text)
    assert "fleet.csv" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_place_of_a_cell_behind_the_first_block_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_files, "_BLOCK", 40)
    rows = [f"d{k},{k + 1},1,1,9,," for k in range(30)]
    assert load(tmp_path, table(*rows)).device_count() == 30
    rows[20] = "d20,no,1,1,9,,"
    with pytest.raises(InputError, match="line 22: compute"):
        load(tmp_path, table(*rows))
    rows[20] = "d20,1,1,1,9"
    with pytest.raises(InputError, match="line 22 has 5 cells"):
        load(tmp_path, table(*rows))


def test_rates_that_nobody_states_are_missed(tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text(table(*ROWS))
    text = FLEET.replace("uplink: 50 Mbit/s", "uplink: {bandwidth: 1 MHz}")
    (tmp_path / "fleet.yaml").write_text(text)
    with pytest.raises(InputError, match=r"devices\[1\] \(lap\): its uplink has no 'rate'"):
        Scenario.load(tmp_path / "fleet.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_list, "AS_ENTRIES", 1)
        with pytest.raises(InputError, match=r"of 'lap' the uplink has no rate"):
            Scenario.load(tmp_path / "fleet.yaml")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{file: fleet.csv, rows: 3}", "has 'rows' beside 'file'"),
        ("{file: 3}", "'file' is no text"),
        ("{file: none.csv}", "there is no such file"),
        ("{file: .}", "is a folder"),
        ("{fil: fleet.csv}", "must be a list of devices"),
        ("{columns: 3}", "must be a list of devices"),
        ("{columns: {name: [a], samples: [9], 'compute [FLOP/s]': [x]}}", r"\[0\]: is 'x'"),
        ("{columns: {name: [a], samples: [9, 8], 'compute [FLOP/s]': [1]}}", "one length"),
        ("{columns: {name: [a], samples: [], 'compute [FLOP/s]': [1]}}", "has 0 rows"),
        ("{columns: {name: [3], samples: [9], 'compute [FLOP/s]': [1]}}", "give a text"),
        ("{columns: {name: a, samples: [9], 'compute [FLOP/s]': [1]}}", "must be a list"),
    ],
)
def test_a_wrong_section_is_named(tmp_path: Path, section: str, words: str) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("{file: fleet.csv}", section))
    with pytest.raises(InputError, match=words):
        Scenario.load(tmp_path / "fleet.yaml")


def test_a_pipe_into_which_nothing_writes_and_a_huge_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitopt.documents.reading.PATIENCE_S", 0.05)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="into which nothing writes"):
        read_device_file(tmp_path / "pipe.csv")
    with (tmp_path / "huge.csv").open("wb") as stream:
        stream.truncate(2**29)  # nothing is on the disk, and nothing is read
    with pytest.raises(InputError, match="larger than 256 MiB"):
        read_device_file(tmp_path / "huge.csv")
    monkeypatch.setattr(column_files, "MOST_ROWS", 2)
    (tmp_path / "long.csv").write_text(table(*ROWS))
    with pytest.raises(InputError, match="more than 2 rows"):
        read_device_file(tmp_path / "long.csv")


def test_a_scenario_that_is_no_file_cannot_name_one() -> None:
    document = {**Scenario.generate().to_dict(), "devices": {"file": "fleet.csv"}}
    with pytest.raises(InputError, match="which only Scenario"):
        Scenario.from_dict(document)


def test_arrays_of_numpy_are_columns() -> None:
    document = Scenario.generate().to_dict()
    columns = {"name": ["a", "b"], "samples": np.array([9, 8]), "compute [FLOP/s]": np.ones(2)}
    scenario = Scenario.from_dict({**document, "devices": {"columns": columns}})
    assert scenario.devices[1].samples == 8


class TestParquet:
    """Parquet, where pyarrow is there."""

    @pytest.fixture
    def arrow(self) -> Any:
        return pytest.importorskip("pyarrow")

    def write(self, arrow: Any, path: Path, **columns: Any) -> Path:
        import pyarrow.parquet

        names = {
            "compute": "compute [GFLOP/s]", "uplink": "uplink [Mbit/s]", "memory": "memory [GB]"
        }  # fmt: skip
        made = arrow.table({names.get(name, name): values for name, values in columns.items()})
        pyarrow.parquet.write_table(made, path)
        return path

    def test_it_holds_the_same_devices_as_csv(self, arrow: Any, tmp_path: Path) -> None:
        scenario = load(tmp_path, table(*ROWS))
        self.write(
            arrow, tmp_path / "fleet.parquet",
            name=["pi", "lap", "jet"], compute=[3.62, 400, 1200.5], uplink=[10.5, None, 55],
            memory=[4, 16, None], samples=[3000, 8000, 5000], batch_size=[32, None, 16],
            count=[2, 1, 3],
        )  # fmt: skip
        (tmp_path / "p.yaml").write_text(FLEET.replace("fleet.csv", "fleet.parquet"))
        assert Scenario.load(tmp_path / "p.yaml") == scenario

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            ({"compute": ["x"]}, r"row 1: compute \[GFLOP/s\]: is 'x'"),
            ({"compute": [float("inf")]}, r"row 1: compute \[GFLOP/s\]: is inf"),
            ({"compute": [-1.0]}, r"row 1: compute \[GFLOP/s\]: is -1e\+09"),
            ({"name": [3]}, "name: is a column of int64, it must hold texts"),
            ({"samples": [None]}, "samples: is empty"),
            ({"samples": []}, "is no Parquet file|no rows"),
            ({"count": [0]}, "row 1: count: is 0"),
            ({"count": [True]}, "row 1: count: is True"),
        ],
    )
    def test_a_wrong_cell_is_named(
        self, arrow: Any, tmp_path: Path, columns: dict[str, Any], words: str
    ) -> None:
        given: dict[str, Any] = {"name": ["a"], "compute": [1.0], "samples": [9], **columns}
        if columns == {"samples": []}:
            given = {"name": arrow.array([], "string"), "compute": arrow.array([], "double"),
                     "samples": arrow.array([], "int64")}  # fmt: skip
        with pytest.raises(InputError, match=words):
            read_device_file(self.write(arrow, tmp_path / "f.parquet", **given))

    def test_what_is_no_parquet_or_too_large_is_refused(
        self, arrow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "bad.parquet").write_bytes(b"PAR1" + bytes(90))
        with pytest.raises(InputError, match="is no Parquet file"):
            read_device_file(tmp_path / "bad.parquet")
        (tmp_path / "d.parquet").mkdir()
        with pytest.raises(InputError, match="is a folder"):
            read_device_file(tmp_path / "d.parquet")
        path = self.write(arrow, tmp_path / "f.parquet", name=["a"], compute=[1.0], samples=[9])
        monkeypatch.setattr(column_files, "_MOST_UNPACKED", 10)
        with pytest.raises(InputError, match="unpacks to"):
            read_device_file(path)
        monkeypatch.setattr(column_files, "MOST_ROWS", 0)
        with pytest.raises(InputError, match="more than 0 rows"):
            read_device_file(path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=re.escape("pip install 'splitopt[parquet]'")):
        read_device_file(tmp_path / "fleet.parquet")
