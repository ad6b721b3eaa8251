"""Everything that splitopt brings conforms, check by check."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError  # noqa: E402
from splitopt.training.conformance import check_names, run_check  # noqa: E402
from splitopt.training.kinds import CODEC, OPTIMIZER, SCHEME, TASK  # noqa: E402

pytestmark = pytest.mark.train
OVER_CONNECTIONS = ("is the same over connections", "goes on without clients that are gone")
ON_THE_WIRE = ("splitfed_v1", "splitfed_v2", "vanilla", "federated", "clustered", "multihop")
ON_THE_WIRE += ("u_shaped",)
CODECS = ["fp16", "bf16", "int8", "int4:channel", "int8:stochastic", "topk:0.2:feedback"]
NAMES = {
    "codec": CODECS,
    "optimizer": list(OPTIMIZER.own),
    "task": list(TASK.own),
    # The suite's clients are those of a fleet; plans of machines have tests of their own, see
    # tests/training/graph and tests/training/test_replicas.py.
    "scheme": [name for name in SCHEME.own if name not in ("graph", "replicas")],
}
SKIPPED = {
    ("codec", "feedback adds up"): {*CODECS} - {"topk:0.2:feedback"},
    ("task", "masked targets count for nothing"): {"classification", "multilabel", "regression"},
    ("task", "collate hides the targets of padding"): {*TASK.own} - {"language"},
    **{
        ("task", name): {"segmentation"}
        for name in check_names("task")
        if name.startswith("collate") and "hides" not in name
    },
    **{("scheme", name): {*SCHEME.own} - {*ON_THE_WIRE} for name in OVER_CONNECTIONS},
}
"""Checks that do not apply -> the names they do not apply to."""


def cases():
    for kind, names in NAMES.items():
        for check in check_names(kind):
            for name in names:
                # Threads with real connections take a second or two.
                is_long = check in OVER_CONNECTIONS and name in ON_THE_WIRE
                yield pytest.param(kind, name, check, marks=[pytest.mark.slow] * is_long)


def test_every_codec_is_among_them():
    assert {text.partition(":")[0] for text in CODECS} == {*CODEC.own}


@pytest.mark.every_case
@pytest.mark.parametrize(("kind", "name", "check"), [*cases()])
def test_it_conforms(kind, name, check):
    found = run_check(kind, name, check)
    wanted = "skipped" if name in SKIPPED.get((kind, check), ()) else "passed"
    assert (found.status, found.kind, found.name) == (wanted, kind, check), found.message
    assert found.message
    assert "\n" not in found.message


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"^kind: is 'codecs', it must be one of scheme, task"):
        check_names("codecs")
    with pytest.raises(InputError, match=r"^name: 'x' is no check; known are sends its layout"):
        run_check("codec", "int8", "x")
    with pytest.raises(InputError, match="there is nothing to check"):
        run_check("codec", "none", "sends its layout")
