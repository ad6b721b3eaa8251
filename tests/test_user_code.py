"""A user's file is imported as ``python FILE.py`` would: what Python itself does is compared."""

from __future__ import annotations

import subprocess
import sys

import pytest

from splitopt.user_code import beside, import_file


@pytest.fixture(autouse=True)
def same_modules():
    """Forget what a test imports."""
    before, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)
    sys.path[:] = path


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_siblings_are_found_from_anywhere(tmp_path, monkeypatch):
    """As Python finds them, which is asked."""
    folder = write(tmp_path / "deep" / "own", near="VALUE = 3", one="from near import VALUE")
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("from near import VALUE as VALUE")
    write(folder, two="import pack\nfrom one import VALUE\nprint(VALUE + pack.VALUE)")
    monkeypatch.chdir(tmp_path)
    ran = subprocess.run(
        [sys.executable, "deep/own/two.py"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "6\n"
    module = import_file("deep/own/two.py")
    assert module.VALUE + module.pack.VALUE == 6
    assert module.__name__ == "two"
    assert sys.modules["two"] is module


@pytest.mark.slow
def test_files_of_one_name_do_not_collide(tmp_path):
    """Neither they, nor what stands beside them, nor what they import when they are called."""
    text = "from near import VALUE\n\n\ndef late():\n    import further\n    return further.VALUE\n"
    for k in (1, 2):
        own = {"near": f"VALUE = {k}", "further": f"VALUE = {10 * k}", "net": text}
        write(tmp_path / str(k), **own)
    files = [tmp_path / str(k) / "net.py" for k in (1, 2)]
    for file, wanted in [*zip(files, (1, 2), strict=True)] * 2:
        module = import_file(file)
        with beside(file):
            assert (module.VALUE, module.late()) == (wanted, 10 * wanted)


def test_what_the_program_has_imported_stays(tmp_path, monkeypatch):
    """A module of the caller's with the name of a sibling is the caller's again afterwards."""
    monkeypatch.syspath_prepend(str(write(tmp_path / "mine", near="VALUE = 'mine'")))
    import near

    write(tmp_path / "other", near="VALUE = 'other'", net="from near import VALUE")
    assert import_file(tmp_path / "other" / "net.py").VALUE == "other"
    assert sys.modules["near"] is near
    assert near.VALUE == "mine"


def test_a_name_of_the_standard_library_is_left_alone(tmp_path):
    """A file may be called as a module that others need."""
    write(tmp_path, random="VALUE = 4", json="VALUE = 5")
    import json

    module = import_file(tmp_path / "random.py")
    assert module.VALUE == 4
    assert sys.modules["random"] is not module
    assert sys.modules["json"] is json


def test_a_file_that_fails_leaves_nothing(tmp_path):
    """What it raises is raised, and its name is free."""
    write(tmp_path, broken="import near\nraise KeyError('x')", near="")
    with pytest.raises(KeyError):
        import_file(tmp_path / "broken.py")
    assert "broken" not in sys.modules
