"""The keywords of the public functions are the fields of what they describe, and no others."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

import splitopt
from splitopt.export.deployment.settings import Deployment, DeploymentFields
from splitopt.export.exporting import ExportFields
from splitopt.export.sample import Sample, SampleFields
from splitopt.training.job import JobFields, OwnProcessFields, TrainingJob
from splitopt.training.keywords import shared_out
from splitopt.training.runner import TrainFields
from splitopt.training.schedule import Schedule, ScheduleFields
from splitopt.training.validation.measuring import ValidateFields
from splitopt.training.wire.setting import WireFields, WireOptions

ARGUMENTS = {"plan", "model", "data", "source"}
"""Fields of a `TrainingJob` that the functions take by themselves."""


def names(*kinds):
    """Return the names of all fields."""
    return {field.name for kind in kinds for field in fields(kind)}


RUN = names(TrainingJob, Schedule, WireOptions) - ARGUMENTS - {"device"}
"""What runs over connections take."""


def test_every_field_is_a_keyword():
    """Whatever can be described can be asked for."""
    assert OwnProcessFields.__optional_keys__ == names(TrainingJob) - ARGUMENTS
    assert JobFields.__optional_keys__ == names(TrainingJob) - ARGUMENTS - {"device"}
    assert WireFields.__optional_keys__ == names(WireOptions)
    assert TrainFields.__optional_keys__ == names(TrainingJob, Schedule) - ARGUMENTS
    assert ValidateFields.__optional_keys__ == RUN - {"rounds"}
    matching = {"match", "stages", "scheme"}
    assert ExportFields.__optional_keys__ == matching | names(Sample, Deployment)


@pytest.mark.train
def test_the_run_over_connections_takes_the_same():
    """And what is of connections alone."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from splitopt.training.wire.launch import RunFields

    assert RunFields.__optional_keys__ == RUN


@pytest.mark.parametrize("keywords", [ExportFields, TrainFields, ValidateFields])
def test_no_field_belongs_to_two(keywords):
    """Every keyword goes to one of them."""
    kinds = (TrainingJob, Schedule, WireOptions, Sample, Deployment)
    assert len(names(*kinds)) == sum(len(fields(kind)) for kind in kinds)
    shared = shared_out("a", keywords, dict.fromkeys(keywords.__optional_keys__), *kinds)
    assert sum(map(len, shared)) == len(keywords.__optional_keys__)


@pytest.mark.parametrize(
    ("function", "keywords"),
    [
        (splitopt.train, TrainFields),
        (splitopt.validate, ValidateFields),
        (splitopt.export_plan, ExportFields),
    ],
)
def test_keywords_are_shown_with_their_defaults(function, keywords):
    """`help` and the documentation list them, each with the default of its field."""
    parameters = inspect.signature(function).parameters
    assert keywords.__optional_keys__ < parameters.keys()
    assert all(item.kind != item.VAR_KEYWORD for item in parameters.values())
    kinds = (TrainingJob, Schedule, WireOptions, Sample, Deployment)
    defaults = {field.name: field.default for kind in kinds for field in fields(kind)}
    for name in keywords.__optional_keys__:
        assert parameters[name].default == defaults[name]


@pytest.mark.parametrize(
    ("keywords", "kind"),
    [
        (OwnProcessFields, TrainingJob),
        (ScheduleFields, Schedule),
        (WireFields, WireOptions),
        (SampleFields, Sample),
        (DeploymentFields, Deployment),
    ],
)
def test_types_are_those_of_the_fields(keywords, kind):
    """What a type checker accepts is what the description says."""
    stated = {field.name: field.type for field in fields(kind)}
    for name, found in keywords.__annotations__.items():
        assert found.__forward_arg__ == stated[name], name


@pytest.mark.train
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: splitopt.train("plan.json", steps=2), "steps"),
        (lambda: splitopt.train("plan.json", time_scale=2), "time_scale"),
        (lambda: splitopt.validate("plan.json", example=2), "example"),
        (lambda: splitopt.validate("plan.json", device="cuda"), "device"),
        (lambda: splitopt.export_plan("plan.json", "parts", seed=2), "seed"),
    ],
)
def test_other_keywords_are_refused_as_python_does(call, name):
    """By the name of the function, before anything is read."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    with pytest.raises(TypeError, match=rf"\(\) got an unexpected keyword argument '{name}'"):
        call()
