"""Commands that take dataclasses, and flags that share their declaration."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Annotated

import pytest
import typer

from splitopt.cli import export, train, validate
from splitopt.cli.defence_options import DefenceFlags, PixelDPFlags
from splitopt.cli.flags import with_flags
from splitopt.cli.privacy_options import PrivacyFlags
from splitopt.cli.remembering_options import RememberingFlags
from splitopt.cli.robustness import CertificateFlags
from splitopt.cli.training_options import JobFlags, OptimizerFlags, ScheduleFlags
from splitopt.cli.wire_options import PaceFlags
from splitopt.errors import InputError
from splitopt.privacy.robustness.settings import RobustnessSettings
from splitopt.training.options import Options
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy_options import Privacy
from splitopt.training.remembering_options import Remembering
from splitopt.training.schedule import Schedule


@dataclass(frozen=True)
class Size:
    """Two flags."""

    width: Annotated[int, typer.Option("--width", help="How wide.")]
    height: Annotated[int, typer.Option("--height", help="How high.")] = 3


@dataclass(frozen=True)
class Wide:
    """One flag that another group has too."""

    width: Annotated[int, typer.Option("--width")] = 1


def test_a_dataclass_is_spread_into_its_fields_and_built_again():
    """Names, types and defaults are those of the fields; other parameters stay."""

    @with_flags
    def command(name: str, size: Size, quiet: bool = False) -> int:
        """Do it."""
        assert (name, quiet) == ("a", True)
        return size.width * size.height

    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["name", "width", "height", "quiet"]
    assert parameters["width"].default is inspect.Parameter.empty
    assert parameters["height"].default == 3
    assert command.__doc__ == "Do it."
    assert command(name="a", width=2, height=5, quiet=True) == 10


def test_two_groups_with_one_flag_are_refused():
    """At import, not when somebody calls the command."""
    with pytest.raises(ValueError, match="duplicate parameter name"):

        @with_flags
        def command(size: Size, wide: Wide) -> int:
            return 0


def test_verbs_share_one_declaration():
    """Train and validate take the same job and pace, with the same help texts and defaults."""
    one, two = (inspect.signature(verb.command).parameters for verb in (train, validate))
    for group in (JobFlags, PaceFlags):
        for field in fields(group):
            first, second = one[field.name].annotation, two[field.name].annotation
            assert first.__origin__ == second.__origin__
            assert vars(first.__metadata__[0]) == vars(second.__metadata__[0])
            assert one[field.name].default == two[field.name].default == field.default
    assert set(inspect.signature(export.command).parameters) >= {"model", "match", "stages"}


def test_every_option_and_schedule_has_its_flag():
    """What Python takes, the command line takes; the local work of a round is the plan's."""
    renamed = {"learning_rate": "lr", "server_learning_rate": "server_lr"}
    elsewhere = {"local_epochs", "local_steps", "privacy", "pixel_dp", "nopeek", "remembering"}
    wanted = {field.name for field in fields(Options)} - elsewhere
    assert {renamed.get(name, name) for name in wanted} == {
        field.name for field in fields(OptimizerFlags)
    }
    assert {field.name for field in fields(Schedule)} == {
        field.name for field in fields(ScheduleFlags)
    }
    assert ScheduleFlags().schedule() == Schedule()


def test_every_choice_of_privacy_has_its_flag():
    """With the same defaults; without any of them there is no privacy."""
    taken = PrivacyFlags(dp_clip=2.0, dp_noise=1.0).privacy()
    assert taken == Privacy(2.0, 1.0)
    assert len(fields(PrivacyFlags)) == len(fields(Privacy))
    assert PrivacyFlags().privacy() is None


def test_every_choice_against_forgetting_has_its_flag():
    """With the same defaults; without any of them there is nothing."""
    taken = RememberingFlags(ewc=2.0, replay=3).remembering()
    assert taken == Remembering(ewc=2.0, replay=3)
    assert {field.name for field in fields(RememberingFlags)} == {
        field.name for field in fields(Remembering)
    }
    assert RememberingFlags().remembering() is None


def test_every_choice_of_a_noise_layer_has_its_flag():
    """With the same defaults; without a layer there is none, and no other flag of it."""
    taken = PixelDPFlags(pixel_dp_after="conv1", pixel_dp_epsilon=0.5).pixel_dp()
    assert taken == PixelDP("conv1", 0.5)
    assert len(fields(PixelDPFlags)) == len(fields(PixelDP))
    assert PixelDPFlags().pixel_dp() is DefenceFlags(nopeek=1.0).pixel_dp() is None
    for flags in (PixelDPFlags, DefenceFlags):
        with pytest.raises(InputError, match="--pixel-dp-radius: needs --pixel-dp-after"):
            flags(pixel_dp_radius=0.3).pixel_dp()
    with pytest.raises(InputError, match="--pixel-dp-epsilon: is missing"):
        PixelDPFlags(pixel_dp_after="conv1").pixel_dp()


def test_every_setting_of_a_certificate_has_its_flag():
    assert CertificateFlags().settings() == RobustnessSettings()
    assert CertificateFlags(radius="0.2,0.1").settings().radii == (0.1, 0.2)
    assert len(fields(CertificateFlags)) == len(fields(RobustnessSettings))
    for text in ("0.1;0.2", "", "0.1,,0.2"):
        with pytest.raises(InputError, match=r"--radius: is .*; write numbers with commas"):
            CertificateFlags(radius=text).settings()
