"""The fed server in one process: the same training, and an account of who received what."""

from __future__ import annotations

import csv
import io

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.report.training import training_to_html  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.options import Options  # noqa: E402

pytestmark = pytest.mark.train

FED = Options(fed_server=True)


@pytest.fixture(scope="module")
def planned():
    """Plans of the same two devices: one with a common cut, one with a cut each."""
    document = Scenario.load("digits-splitfed").to_dict()
    fast, far = document["devices"][0], document["devices"][-1]
    document["devices"] = [
        fast | {"samples": 48, "count": 1},
        far | {"samples": 96, "compute": "40 MFLOP/s", "count": 1},
    ]
    document["training"] = {"epochs": 1, "rounds": 2}
    scenario = Scenario.from_dict(document)
    return {
        "common": splitopt.plan(scenario, scheme="splitfed_v1"),
        "own": splitopt.plan(scenario),
    }


@pytest.mark.one_quick
@pytest.mark.parametrize("scheme", ["splitfed_v1", "splitfed_v2"])
def test_it_learns_what_is_learned_without_and_counts_who_received_what(planned, scheme):
    """Bits of weights and tests are the same; bytes are those of shapes of the network by hand."""
    given = {"rounds": 2, "scheme": scheme, "evaluate_every": 2}
    plain = splitopt.train(planned["common"], **given)
    run = splitopt.train(planned["common"], options=FED, **given)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
    for own, other in zip(run.history, plain.history, strict=True):
        assert (own.test_loss, own.accuracy) == (other.test_loss, other.accuracy)
        assert own.traffic_bytes == other.traffic_bytes
    assert all(row.received_bytes == {} for row in plain.history)
    client = run.scheme.clients[0]
    front = run.scheme.split(run.model, client.cuts)[0]
    smashed = front(torch.zeros(1, 1, 8, 8)).numel() * 4
    part = sum(value.numel() * 4 for value in front.parameters())
    tests = 359  # digits that are there to test with
    first, second = (row.received_bytes for row in run.history)
    assert first == {
        "server": {"smashed": 144 * smashed, "label": 144 * 8},
        "fed": {"model": 2 * part},
        "devices": {"model": 2 * part, "gradient": 144 * smashed},
    }
    assert second == first | {"server": first["server"] | {"test_smashed": tests * smashed}}


@pytest.mark.slow
def test_the_account_stands_in_history_table_and_page(planned):
    """Files are read as they were written, and columns add up to the whole."""
    run = splitopt.train(planned["common"], options=FED, rounds=2)
    assert History.from_dict(run.history.to_dict()) == run.history
    rows = list(csv.DictReader(io.StringIO(run.history.to_csv())))
    for party, kinds in run.history.received_bytes().items():
        for kind, size in kinds.items():
            assert sum(int(row[f"{party}_received_{kind}_bytes"]) for row in rows) == size
    page = training_to_html({"": run.history}, run.stopped)
    assert "fed server" in page
    assert "smashed test data" in page


@pytest.mark.parametrize(
    ("plan", "given", "options", "words"),
    [
        ("own", {}, {}, "fed_server: needs one cut that all clients share, since a layer"),
        ("common", {"scheme": "vanilla"}, {}, "fed_server: is for splitfed_v1 and splitfed_v2"),
        ("common", {"scheme": "federated"}, {}, "not for federated; leave it out"),
    ],
)
def test_wrong_use_is_refused(planned, plan, given, options, words):
    """In one sentence, before any round."""
    with pytest.raises(InputError, match=words):
        splitopt.train(planned[plan], options=Options(fed_server=True, **options), **given)


@pytest.mark.parametrize("given", [{"as_published": True}, {"fed_server": "yes"}])
def test_options_that_do_not_go_together(given):
    """Tests for which one party would need both parts."""
    with pytest.raises(InputError, match=r"does not go together|must be True or False"):
        Options(**{"fed_server": True, **given})


def test_layers_that_all_are_on_devices_need_no_two_servers():
    """There is no main server then."""
    from splitopt.training.two_servers import check_two_servers

    with pytest.raises(InputError, match="no layer is the server's"):
        check_two_servers("splitfed_v1", [(), ()], [])
    with pytest.raises(InputError, match=r"the tied weight 0\.weight"):
        check_two_servers("splitfed_v1", [(2,), (2,)], ["0.weight"])
