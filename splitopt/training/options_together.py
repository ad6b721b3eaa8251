"""Which choices of `splitopt.training.options.Options` do not go together."""

from __future__ import annotations

from typing import Any

from splitopt.documents.checks import is_finite, is_number
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
    if given.privacy is not None:
        _check_privacy(given)
    _check_defences(given)
    _check_fed_server(given)
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
    if given.privacy is not None:
        raise InputError.at(
            "client_fraction",
            "does not go together with privacy, whose accounts count every device in every "
            "round; train with all of them",
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
    for name in ("pixel_dp", "nopeek"):
        if getattr(given, name) and given.batched:
            raise InputError.at(
                "batched", f"does not go together with {name}; train without one of them"
            )
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
    for name in ("as_published", "pixel_dp"):
        if given.fed_server and getattr(given, name):
            raise InputError.at(
                name,
                "does not go together with fed_server, since its tests need both parts of the "
                "model in one place; drop one",
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
