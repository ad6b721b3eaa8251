"""A generator of samples, on a page and in text: what it takes, how good it is, what it tells."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.generators.accounting import Account
from splitopt.generators.options import GeneratorOptions
from splitopt.generators.work import work_of
from splitopt.report.content import Column, Figure, Table
from splitopt.report.grids import table_in_terminal
from splitopt.report.summary import PlanSummary
from splitopt.report.templating import template
from splitopt.units import counted, readable_bytes

if TYPE_CHECKING:
    from splitopt.generators.judging import Judgement

_SIZE = slice(16, 24)
"""Where a PNG picture says its width and height."""
HARDLY_ANY = 20.0
"""An epsilon above this says that one sample may make what comes out e^20 times more likely."""


def generator_to_terminal(
    judgement: Judgement, options: GeneratorOptions, data: str
) -> RenderableType:
    """Lay out the table and the facts."""
    summary = summarize_generator(judgement, options, data)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for own in summary.tables:
        parts += table_in_terminal(own)
    parts.append(Text(summary.verdict, style="bold"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    return Group(*parts)


def generator_to_html(
    judgement: Judgement, options: GeneratorOptions, data: str, picture: bytes
) -> str:
    """Return the page, with a picture of samples (PNG)."""
    summary = summarize_generator(judgement, options, data, picture)
    return str(template("summary.html").render(summary=summary))


def summarize_generator(
    judgement: Judgement, options: GeneratorOptions, data: str, picture: bytes | None = None
) -> PlanSummary:
    """Summarize a generator as a title, a verdict, facts, a table and a figure."""
    generator = judgement.generator
    shape = " x ".join(str(side) for side in generator.spec.shape)
    figures: tuple[Figure, ...] = ()
    if picture is not None:
        figures = (Figure("Samples", lambda: _drawn(picture), "A row for each label, rising"),)
    return PlanSummary(
        title=f"{data}: generator {generator.spec.network} of {shape}, "
        f"{counted(generator.steps, 'step')}",
        verdict=_verdict(judgement),
        facts=(*_work(judgement, options), *_worth(judgement)),
        tables=(_qualities(generator.quality or {}, judgement),),
        figures=figures,
    )


def _qualities(quality: Mapping[int, float], judgement: Judgement) -> Table:
    rows = tuple(
        {"label": str(label), "quality": f"{value:.3f}"} for label, value in quality.items()
    )
    return Table(
        "Quality",
        "Share of generated samples that the probe takes for their label; the probe is right on "
        f"{judgement.probe_accuracy:.3f} of real samples, and by chance on {judgement.chance:.3f}",
        (Column("label", "Label"), Column("quality", "Quality")),
        rows,
        things="labels",
    )


def _verdict(judgement: Judgement) -> str:
    if judgement.from_generated is None:
        return "One label alone: nothing is classified."
    return (
        f"A classifier trained on generated samples is right on {judgement.from_generated:.3f} of "
        f"the test samples, trained on the real ones on {judgement.from_real:.3f}."
    )


def _work(judgement: Judgement, options: GeneratorOptions) -> list[tuple[str, str]]:
    work = work_of(judgement.generator.spec)
    return [
        (
            "Parameters",
            f"{work.parameters:,} of the generator, {readable_bytes(work.payload_bytes)} to send; "
            f"{work.critic_parameters:,} of a critic",
        ),
        (
            "Work",
            f"{work.step_flop(options) / 1e9:.4g} GFLOP for a step of the generator with "
            f"{options.critic_steps} of a critic, {work.training_flop(options) / 1e12:.4g} TFLOP "
            "in all",
        ),
    ]


def _worth(judgement: Judgement) -> list[tuple[str, str]]:
    """Return what it is worth as differential privacy, and what an attack can tell all the same."""
    found = judgement.membership
    by_critic = (
        ""
        if found.auc_by_critic is None
        else f"; {found.auc_by_critic:.3f} by the critics' scores, which only the device has"
    )
    facts = [
        ("Privacy", privacy_words(judgement.generator.account)),
        (
            "Membership inference",
            f"AUC {found.auc_by_distance:.3f} by the distance to generated samples{by_critic}; "
            "0.5 is chance",
        ),
    ]
    if judgement.generator.account.epsilon is not None:
        facts.append(
            (
                "Epsilon does not cover",
                "the critics, which labels there are, and the qualities and accuracies above",
            )
        )
    return facts


def privacy_words(account: Account) -> str:
    """Return in a line what a training is worth as differential privacy of a sample."""
    if account.epsilon is None:
        return f"none, {account.why}"
    hardly = ", which protects hardly anybody" if account.epsilon > HARDLY_ANY else ""
    return (
        f"epsilon {account.epsilon:.4g} at delta {account.delta:g}{hardly}: reading "
        f"{account.reading}, {account.why}"
    )


def _drawn(picture: bytes) -> str:
    """Return an SVG element that shows a PNG picture."""
    width, height = struct.unpack(">II", picture[_SIZE])
    text = base64.b64encode(picture).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><image width="{width}" height="{height}" '
        f'href="data:image/png;base64,{text}"/></svg>'
    )
