"""Which choices of `splitopt.training.options.Options` do not go together."""

from __future__ import annotations

from typing import Any

from splitopt.documents.checks import is_finite, is_number, is_whole
from splitopt.errors import InputError, shown
from splitopt.training.codecs.registry import NONE
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy_options import Privacy
from splitopt.training.remembering_options import Remembering

_BY_NUMBER = (NONE, "fp16", "bf16")
"""Codecs that write each number by itself, whatever else is in a batch."""


def check_together(given: Any) -> None:
    """Raise `InputError` for options, each of them valid, that contradict each other."""
    _check_fraction(given)
    _check_published(given)
    _check_interval(given)
    if given.privacy is not None:
        _check_privacy(given)
    _check_defences(given)
    _check_fed_server(given)
    _check_secure(given)
    _check_padding(given)
    _check_remembering(given)


def _check_fraction(given: Any) -> None:
    """Reject a fraction that chooses nobody, or more than there are."""
    fraction = given.client_fraction
    if fraction is None:
        return
    if not is_number(fraction) or not 0 < fraction <= 1:
        raise InputError.at(
            "client_fraction",
            f"is {shown(fraction)}, it must be above 0, which chooses nobody, and at most 1",
        )


def _check_interval(given: Any) -> None:
    """Reject what begins every round with common device parts."""
    if given.aggregation_interval == 1:
        return
    for name, value, mend in (
        ("client_fraction", given.client_fraction is not None, "the same clients in every round"),
        ("as_published", given.as_published, "an interval, which the authors' script has not"),
        ("fed_server", given.fed_server, "the model of one server"),
        ("privacy", given.privacy is not None, "no accounts of it"),
        ("optimizer_state", given.optimizer_state == "average", "each copy's own moments"),
        ("pixel_dp", given.pixel_dp is not None, "no noise in it"),
    ):
        if value:
            raise InputError.at(
                name,
                f"does not go together with an aggregation_interval above 1, which has {mend}; "
                "drop one",
            )


def _check_published(given: Any) -> None:
    """Reject what the authors' script does not do."""
    if not given.as_published:
        return
    for name, value, mend in (
        ("server_order", given.server_order not in (None, "client"), "client by client"),
        ("optimizer_state", given.optimizer_state != "reset", "new optimizers in every round"),
        ("batched", given.batched, "one client after the other"),
        ("privacy", given.privacy is not None, "no noise in what is measured here"),
    ):
        if value:
            raise InputError.at(
                name, f"does not go together with as_published, which has {mend}; drop one"
            )


def _check_defences(given: Any) -> None:
    """Reject a noise layer or a penalty that does not go with the rest."""
    if not isinstance(given.pixel_dp, PixelDP | None):
        raise InputError.at(
            "pixel_dp", f"is of type {type(given.pixel_dp).__name__}, it must be PixelDP"
        )
    if not (is_finite(given.nopeek) and given.nopeek >= 0):
        raise InputError.at(
            "nopeek", f"is {shown(given.nopeek)}, it must be a number >= 0 and finite"
        )
    if given.nopeek and given.batched:
        raise InputError.at("batched", "does not go together with nopeek; train without one")
    if given.nopeek and given.privacy is not None:
        raise InputError.at(
            "nopeek",
            "compares the samples of a batch with each other, so that clipping the gradient of "
            "one does not bound what it changes; with privacy train without",
        )


def _check_privacy(given: Any) -> None:
    """Reject what would let samples into more than their own clipped gradients."""
    if not isinstance(given.privacy, Privacy):
        raise InputError.at(
            "privacy", f"is of type {type(given.privacy).__name__}, it must be Privacy"
        )
    if given.batched:
        raise InputError.at(
            "batched", "does not go together with privacy, whose batches vary; train without"
        )
    for name in ("codec", "gradient_codec"):
        codec = getattr(given, name)
        if codec is not None and codec not in _BY_NUMBER:
            raise InputError.at(
                name,
                f"is {codec!r}, whose scales let a sample change the gradients of others, "
                "which no clipping of its own undoes; with privacy take none, fp16 or bf16",
            )


def _check_fed_server(given: Any) -> None:
    """Reject tests for which one party would need both parts of the model."""
    if not isinstance(given.fed_server, bool):
        raise InputError.at("fed_server", f"is {shown(given.fed_server)}, it must be True or False")
    if given.fed_server and given.as_published:
        raise InputError.at(
            "as_published",
            "does not go together with fed_server, since its tests need both parts of the "
            "model in one place; drop one",
        )


def _check_secure(given: Any) -> None:
    """Reject what would leave models of single devices, or what tells them, with a server."""
    asked, threshold = given.secure_aggregation, given.threshold
    if not isinstance(asked, bool):
        raise InputError.at("secure_aggregation", f"is {shown(asked)}, it must be True or False")
    if threshold is not None and not is_whole(threshold, 2):
        raise InputError.at(
            "threshold",
            f"is {shown(threshold)}, it must be a whole number >= 2: with 1, a server that has the "
            "shares of one device could unmask every other",
        )
    if not asked:
        if threshold is not None:
            raise InputError.at(
                "threshold", "is for secure_aggregation; add that (--secure-aggregation)"
            )
        return
    for name, wanted, why in (
        ("optimizer_state", "reset", "the moments of a device's optimizer tell its gradients"),
        ("batch_norm", ("average", "frozen"), "the statistics of a device would stay with it"),
    ):
        if getattr(given, name) not in wanted:
            raise InputError.at(
                name,
                f"is {getattr(given, name)!r}, which does not go together with "
                f"secure_aggregation: {why}, and a server must keep them between rounds; leave it "
                "out",
            )
    for name in ("as_published", "batched"):
        if getattr(given, name):
            raise InputError.at(
                name, "is for training in one process, where nothing is masked; drop one"
            )


def _check_padding(given: Any) -> None:
    """Reject what needs batches of one length."""
    if given.padding == "data":
        return
    replays = given.remembering is not None and "replay" in given.remembering.asked
    for name, asked, why in (
        ("batched", given.batched, "puts the batches of several clients in one"),
        ("pixel_dp", given.pixel_dp is not None, "has a noise layer made for one length"),
        ("replay", replays, "keeps samples of several batches in one"),
        ("fed_server", given.fed_server, "has a main server that knows one length alone"),
    ):
        if asked:
            raise InputError.at("padding", f"is 'batch', and {name} {why}; drop one of the two")


def _check_remembering(given: Any) -> None:
    """Reject what would keep samples of devices where that is not accounted for."""
    if not isinstance(given.remembering, Remembering | None):
        raise InputError.at(
            "remembering",
            f"is of type {type(given.remembering).__name__}, it must be Remembering",
        )
    if given.remembering is None:
        return
    for name in given.remembering.asked:
        if given.privacy is not None and name != "turn_batches":
            raise InputError.at(
                name,
                "does not go together with privacy, whose account has each sample in its own "
                "batches alone; train without one of them",
            )
        if given.pixel_dp is not None and name in ("ewc", "replay"):
            raise InputError.at(
                name,
                "does not go together with pixel_dp, whose noise it would average out; drop one",
            )
