from __future__ import annotations

from pathlib import Path

import pytest

from splitopt.errors import InputError
from splitopt.profiles import load_profile, profile_names


def test_every_name_loads():
    """Each shipped name gives the profile of that name, with a source; no name stands twice."""
    names = profile_names()
    assert len(set(names)) == len(names) == 25
    for name in names:
        profile = load_profile(name)
        assert profile.name == name
        assert profile.provenance.source


def test_an_unknown_name_is_refused():
    """The error lists the names and suggests a close one."""
    with pytest.raises(InputError, match=r"did you mean 'vgg19-cifar'\?.*dp-mora-resnet18, "):
        load_profile("vgg19-cifer")
    with pytest.raises(InputError) as caught:
        load_profile("transformer")
    assert "did you mean" not in str(caught.value)


def test_a_path_is_read(tmp_path, make_profile, monkeypatch):
    """A Path, a text with a separator and a text that ends in .json are files."""
    profile = make_profile()
    profile.save(tmp_path / "mine.json")
    profile.save(tmp_path / "vgg19-cifar")
    monkeypatch.chdir(tmp_path)
    for path in ("mine.json", "./mine.json", Path("mine.json"), Path("vgg19-cifar")):
        assert load_profile(path) == profile
    with pytest.raises(InputError, match=r"other\.json: there is no such file"):
        load_profile("other.json")


def test_a_text_fills_every_machine_that_is_partly_measured(tmp_path, make_profile):
    """One way applies to the machines with gaps and measured layers, and leaves the others."""
    path = tmp_path / "mine.json"
    make_profile().save(path)
    profile = load_profile(path, fill="zero")
    assert profile.device_seconds("board")[-1] == 14.75
    assert len(profile.provenance.fills) == 1
    shipped = load_profile("vgg19-mnist", fill="flop_ratio")
    assert [fill.split(":")[0] for fill in shipped.provenance.fills] == ["d2"]
    assert not shipped.machines["jetson-gpu"].measured.any()


def test_a_wrong_fill_is_refused():
    """An unknown way or machine is refused, also for a profile without machines."""
    with pytest.raises(InputError, match="fill 'mean' is unknown"):
        load_profile("resnet18-imagenet", fill="mean")
    with pytest.raises(InputError, match="no machine 'machine'; the machines are VM"):
        load_profile("vgg19-cifar", fill={"machine": "zero"})
