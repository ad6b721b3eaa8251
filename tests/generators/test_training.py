"""Trainings as a whole: what comes out, going on after an interruption, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import save  # noqa: E402

from splitopt.errors import InputError, InUseError, TrainingError  # noqa: E402
from splitopt.generators import (  # noqa: E402
    GeneratorOptions,
    Sanitizing,
    load_generator,
    membership_of,
    quality_per_class,
    sample_grid,
    train_generator,
    train_on_generated,
    train_probe,
)
from splitopt.generators.probe import accuracy_from_real  # noqa: E402
from splitopt.generators.training import FILE  # noqa: E402
from splitopt.storage.locks import Lock  # noqa: E402
from tests.generators.conftest import CLASSES, LABELS, SHORT, bars, make  # noqa: E402

pytestmark = pytest.mark.train


def weights(generator):
    return save(generator.network.state_dict())


@pytest.mark.slow
def test_what_is_learned(good, probe):
    """The gradient of the critic is near 1 in between, and a probe knows most samples by then."""
    norms = [row.gradient_norm for row in good.history[-50:]]
    assert sum(norms) / len(norms) == pytest.approx(1, abs=0.05)
    assert len(good.history) == good.steps == 400
    quality = quality_per_class(good, probe)
    assert tuple(quality) == LABELS
    assert sum(quality.values()) / 3 > 0.6  # 1/3 by chance


@pytest.mark.slow
def test_training_on_generated_beats_training_on_noise(good, others):
    """By half of all test samples; on real samples it is better still, or as good."""
    generated = train_on_generated(good, *others, samples=300)
    draws = torch.Generator().manual_seed(0)
    noise = torch.rand(300, 1, 8, 8, generator=draws)
    labels = torch.tensor(LABELS).repeat(100)
    from_noise = accuracy_from_real(noise, labels, *others, CLASSES, 0)
    from_real = accuracy_from_real(*bars(300, 2), *others, CLASSES, 0)
    assert generated > from_noise + 0.3
    assert from_real > generated - 0.05


@pytest.mark.slow
def test_membership_of_samples_that_are_kept(good, samples, others):
    """Chance where nothing is kept; one where the generated samples are the members."""
    found = membership_of(good, samples, others)
    assert abs(found.auc_by_distance - 0.5) < 0.1
    assert (found.members, found.others) == (300, 150)
    labels = torch.tensor(LABELS).repeat_interleave(20)
    from splitopt.generators.membership import measured

    made = torch.cat([good.sample(torch.full((20,), label), 0) for label in LABELS])
    kept = measured(good, (made, labels), others, 60)
    assert kept.auc_by_distance > 0.99


@pytest.mark.slow
def test_same_seed_same_weights(samples):
    """Bit for bit; another seed is another generator; the global state is as it was."""
    before = torch.get_rng_state()
    one, same = make(samples), make(samples)
    assert weights(one) == weights(same)
    assert one.history == same.history
    other = train_generator(*samples, classes=CLASSES, options=SHORT, seed=1)
    assert weights(one) != weights(other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"critics": 3},
        {"sanitize": Sanitizing("sample", 1.0, 0.5, insecure_test_seed=3), "critics": 2},
        {"sanitize": Sanitizing("batch", 1.0, 0.5, insecure_test_seed=3)},
        {"sanitize": Sanitizing("value", 0.01, 0.5, insecure_test_seed=3)},
    ],
)
def test_goes_on_byte_for_byte(samples, tmp_path, more):
    """Interrupted after three steps of five; also the history, and a run without a checkpoint."""
    whole = make(samples, steps=5, **more)

    class StoppedError(Exception):
        pass

    def stop(row, steps):
        assert steps == 5
        if row.step == 3:
            raise StoppedError

    options = GeneratorOptions(steps=5, critic_steps=2, batch=8, **more)
    given = {"classes": CLASSES, "options": options, "checkpoint": tmp_path / "c", "every": 3}
    with pytest.raises(StoppedError):
        train_generator(*samples, callback=stop, **given)
    rest = train_generator(*samples, resume=True, **given)
    assert weights(rest) == weights(whole)
    assert rest.history == whole.history
    assert rest.account == whole.account
    for one, other in zip(rest.critics, whole.critics, strict=True):
        assert save(one.state_dict()) == save(other.state_dict())
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    rest.save(one)
    whole.save(other)
    assert one.read_bytes() == other.read_bytes()


def test_goes_on_further_than_planned(samples, tmp_path):
    """More steps of the same training; epsilon counts all of them."""
    own = Sanitizing("sample", 1.0, 100.0)
    given = {"classes": CLASSES, "checkpoint": tmp_path}
    first = GeneratorOptions(steps=2, critic_steps=1, batch=8, sanitize=own)
    more = GeneratorOptions(steps=4, critic_steps=1, batch=8, sanitize=own)
    two = train_generator(*samples, options=first, **given)
    four = train_generator(*samples, options=more, resume=True, **given)
    assert (two.account.steps, four.account.steps) == (2, 4)
    assert two.account.epsilon < four.account.epsilon
    with pytest.raises(InputError, match="steps: are 2"):
        train_generator(*samples, options=first, resume=True, **given)


def test_the_network_of_the_paper():
    """A step on 28 x 28 pixels, with labels of two classes out of ten, sanitised."""
    draws = torch.Generator().manual_seed(0)
    images, labels = torch.rand(8, 1, 28, 28, generator=draws), torch.tensor([3, 8] * 4)
    options = GeneratorOptions(
        network="iotsl", steps=1, critic_steps=1, batch=2, sanitize=Sanitizing("sample", 1.0, 1.07)
    )
    found = train_generator(images, labels, classes=10, options=options)
    assert found.labels == (3, 8)
    assert found.sample([3, 8, 8]).shape == (3, 1, 28, 28)
    assert found.account.sensitivity == pytest.approx(2 * 2**0.5)


def test_secret_noise_does_not_repeat(samples):
    """The seed says nothing of it."""
    own = Sanitizing("sample", 1.0, 0.5)
    assert weights(make(samples, sanitize=own)) != weights(make(samples, sanitize=own))


def test_checkpoints_that_are_refused(samples, tmp_path):
    """None, one that is there, one of another run, a damaged one, and one in use."""
    options = GeneratorOptions(steps=1, critic_steps=1, batch=8)
    given = {"classes": CLASSES, "options": options, "checkpoint": tmp_path / "c"}
    with pytest.raises(InputError, match="no checkpoint"):
        train_generator(*samples, resume=True, **given)
    with pytest.raises(InputError, match="resume: needs a checkpoint"):
        train_generator(*samples, classes=CLASSES, options=options, resume=True)
    train_generator(*samples, **given)
    with pytest.raises(InputError, match="holds a checkpoint already"):
        train_generator(*samples, **given)
    for change, words in (
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"classes": 5}, "spec.classes is 4 there and 5 here"),
        ({"options": GeneratorOptions(batch=9)}, "options.batch|options.critic_steps"),
    ):
        with pytest.raises(InputError, match=words):
            train_generator(*samples, resume=True, **{**given, **change})
    with pytest.raises(InputError, match="data is"):
        train_generator(*bars(300, 9), resume=True, **given)
    with Lock(tmp_path / "c"), pytest.raises(InUseError):
        train_generator(*samples, resume=True, **given)
    path = tmp_path / "c" / FILE
    whole = path.read_bytes()
    for damaged in (whole[:-4], whole[:-1] + bytes([whole[-1] ^ 1]), whole[:100], b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"c/generator-checkpoint\.safetensors: "):
            train_generator(*samples, resume=True, **given)


def test_images_and_labels_that_are_none(samples):
    """One sentence that names which, and what to do."""
    images, labels = samples
    for own, others, classes, words in (
        (images[:, 0], labels, 4, "images: are float32 of shape"),
        ((255 * images).to(torch.uint8), labels, 4, "images: are uint8"),
        (images * 255, labels, 4, "scale them to 0..1"),
        (images * float("nan"), labels, 4, "images: have values from nan"),
        (images, labels[1:], 4, "labels: have shape"),
        (images, labels.double(), 4, "labels: have shape"),
        (images, labels, 3, "labels: have 3, outside the classes 0 to 2"),
        (images, labels - 1, 4, "labels: have -1"),
        (images, labels, 1, "classes: is 1"),
        (images.numpy(), labels, 4, "images: is "),
        (images[:, :, :7], labels, 4, "8 to 32 pixels"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            train_generator(own, others, classes=classes, options=GeneratorOptions(steps=1))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="critics: are 301, and there are 300 samples"):
        make(samples, critics=301)
    with pytest.raises(InputError, match="seed"):
        train_generator(images, labels, classes=4, seed=-1)


def test_weights_that_explode(samples):
    """The step is named."""
    with pytest.raises(TrainingError, match="after step 1"):
        make(samples, lr=1e38, sanitize=Sanitizing("sample", 1e38, 1e9))


@pytest.mark.slow
def test_samples_of_labels(short):
    """By seed, in any number; a label that was not trained on is refused."""
    asked = torch.tensor([0, 2, 3, 2])
    made = short.sample(asked, seed=5)
    assert made.shape == (4, 1, 8, 8)
    assert torch.equal(made, short.sample([0, 2, 3, 2], seed=5))
    assert not torch.equal(made, short.sample(asked, seed=6))
    assert short.sample([], 0).shape == (0, 1, 8, 8)
    assert short.sample(torch.zeros(1500, dtype=torch.int64)).shape[0] == 1500
    for labels, words in (
        ([1], "have 1, which this generator was not trained on; it makes 0, 2, 3"),
        ([7], "have 7"),
        ([0.5], "whole numbers"),
        ("x", "whole numbers"),
        ([[0]], "whole numbers"),
    ):
        with pytest.raises(InputError, match=words):
            short.sample(labels)
    with pytest.raises(InputError, match="seed"):
        short.sample([0], seed=-1)


@pytest.mark.slow
def test_probes_that_judge_nothing(samples, short):
    """Labels by chance, a single label, other images, and a label that it does not know."""
    images, labels = samples
    draws = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match="always saying the most frequent"):
        train_probe(images, labels[torch.randperm(300, generator=draws)], CLASSES)
    with pytest.raises(InputError, match="two labels"):
        train_probe(images, torch.zeros(300, dtype=torch.int64), CLASSES)
    own = labels != 3
    with pytest.raises(InputError, match="without samples of the label 3"):
        quality_per_class(short, train_probe(images[own], labels[own], CLASSES))
    large = torch.nn.functional.interpolate(images, scale_factor=2)
    with pytest.raises(InputError, match="1 x 16 x 16"):
        quality_per_class(short, train_probe(large, labels, CLASSES))


def test_pictures(short, tmp_path):
    """A row for each label: the picture holds the samples, enlarged three times."""
    from PIL import Image

    path = tmp_path / "grid.png"
    sample_grid(short, path, columns=4, seed=2)
    with Image.open(path) as picture:
        pixels = torch.from_numpy(np.array(picture))
    assert pixels.shape == (3 * 25 - 1, 4 * 25 - 1)
    wanted = short.sample([0] * 4 + [2] * 4 + [3] * 4, 2)
    found = pixels[25:49:3, 50:74:3]  # the second row's third
    torch.testing.assert_close(found / 255, wanted[6, 0], rtol=0, atol=0.5 / 255 + 1e-6)
    assert set(pixels[24].tolist()) == {255}
    with pytest.raises(InputError, match="columns"):
        sample_grid(short, path, columns=0)


def test_files_have_all_but_critics_and_history(short, tmp_path):
    """There and back, and the same file again."""
    path = tmp_path / "g.safetensors"
    quality = {0: 0.5, 2: 1.0, 3: 0.25}
    short.with_quality(quality).save(path)
    read = load_generator(path)
    assert (read.spec, read.labels, read.account) == (short.spec, short.labels, short.account)
    assert (read.steps, read.quality) == (SHORT.steps, quality)
    assert (read.history, read.critics) == ((), ())
    assert torch.equal(read.sample([0, 3]), short.sample([0, 3]))
    again = tmp_path / "again.safetensors"
    read.save(again)
    assert again.read_bytes() == path.read_bytes()
