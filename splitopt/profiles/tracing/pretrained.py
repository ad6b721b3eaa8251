"""Models of HuggingFace from a folder: ``config.json``, and ``model.safetensors`` if there is one.

Nothing is fetched, nothing is unpickled, and code that a folder brings along is not run.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from splitopt.documents.json_text import read_json
from splitopt.errors import CapabilityError, InputError, shown
from splitopt.user_code import reason

PREFIX = "hf:"
CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_REFUSED = {
    "auto_map": "asks for code of its own, which is not run; take a model that transformers has",
    "quantization_config": "has quantized weights, which are not trained; take those it is of",
}


class Pretrained(NamedTuple):
    """A model from a folder, and the shape and the type of a sample as its configuration says.

    The shape is None where any will do, as for token ids.
    """

    module: nn.Module
    shape: tuple[int, ...] | None
    type_name: str


def is_pretrained(target: str | None) -> bool:
    """Report whether a target names a folder of HuggingFace."""
    return target is not None and target.startswith(PREFIX)


def folder_of(target: str) -> Path:
    """Return the folder that ``hf:FOLDER`` names."""
    return Path(target.removeprefix(PREFIX))


def open_pretrained(target: str) -> Pretrained:
    """Build the model that ``hf:FOLDER`` names.

    Parameters
    ----------
    target
        A folder with a ``config.json`` of transformers. The class is the first of its
        ``architectures``. Weights are read from ``model.safetensors``, or its parts by their
        index; without them, and where a head has none, they are drawn from torch's generator.

    Raises
    ------
    InputError
        There is no such folder, or what it holds is not read.
    CapabilityError
        transformers is not installed.
    """
    folder = folder_of(target)
    settings = read_settings(folder)
    has_weights = any((folder / name).is_file() for name in _WEIGHTS)
    if not has_weights:
        _refuse_pickles(folder)
    hub = _transformers(f"{target!r}")
    kind = _class_of(hub, settings, folder)
    with _offline(hub):
        try:
            if has_weights:
                module = kind.from_pretrained(
                    str(folder),
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    dtype="auto",
                )
            else:
                config = hub.AutoConfig.from_pretrained(
                    str(folder), local_files_only=True, trust_remote_code=False
                )
                module = kind._from_config(config)
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{folder}: transformers cannot build {kind.__name__} ({reason(error)}); give a "
                "folder that save_pretrained wrote"
            ) from None
    tokens = getattr(module, "main_input_name", "input_ids") == "input_ids"
    return Pretrained(module, _image_of(module.config), "int64" if tokens else "float32")


def read_settings(folder: Path) -> Mapping[str, Any]:
    """Read the configuration of a folder.

    Raises
    ------
    InputError
        There is none, or it asks for what is refused.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"{shown(str(folder))}: has no {CONFIG}; name a folder that save_pretrained of "
            "transformers wrote, as hf:FOLDER (nothing is fetched)"
        )
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: holds an adapter of peft; merge it into its model (merge_and_unload) and "
            "save that"
        )
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise InputError(f"{path}: is no object; name a folder that save_pretrained wrote")
    for name, why in _REFUSED.items():
        if settings.get(name):
            raise InputError(f"{path}: {name} {why}")
    for name in ("attn_implementation", "_attn_implementation"):
        if "/" in str(settings.get(name, "")):
            raise InputError(f"{path}: {name} names code to fetch; write 'sdpa' or 'eager'")
    return settings


def class_name(settings: Mapping[str, Any], folder: Path) -> str:
    """Return the name of the class of a configuration."""
    named = settings.get("architectures") or ["AutoModel"]
    first = named[0] if isinstance(named, list) else None
    if not isinstance(first, str) or not first.isidentifier():
        raise InputError(
            f"{folder / CONFIG}: architectures is {shown(named)}; it must be a list with the "
            "name of a class of transformers, such as BertForSequenceClassification"
        )
    return first


def written_source(target: str) -> str:
    """Write a file whose ``build()`` makes the model of ``hf:FOLDER`` with fresh weights."""
    folder = folder_of(target)
    settings = read_settings(folder)
    name = class_name(settings, folder)
    kept = {key: value for key, value in settings.items() if key != "_name_or_path"}
    lines = ",\n".join(f"    {key!r}: {value!r}" for key, value in sorted(kept.items()))
    return (
        f'"""The network {name} of HuggingFace transformers, as it is planned with."""\n\n'
        "import transformers\n\n"
        f"CONFIG = {{\n{lines},\n}}\n\n\n"
        "def build():\n"
        '    """Build the network with fresh weights."""\n'
        '    settings = {key: value for key, value in CONFIG.items() if key != "model_type"}\n'
        '    config = transformers.AutoConfig.for_model(CONFIG["model_type"], **settings)\n'
        f"    return transformers.{name}._from_config(config)\n"
    )


def _transformers(purpose: str) -> Any:
    if importlib.util.find_spec("transformers") is None:
        raise CapabilityError(
            f"{purpose} needs transformers, which is not installed; install it with: "
            "pip install 'splitopt[huggingface]'"
        )
    return importlib.import_module("transformers")


def _class_of(hub: Any, settings: Mapping[str, Any], folder: Path) -> Any:
    name = class_name(settings, folder)
    if name == "AutoModel":
        return _Auto(hub)
    found = getattr(hub, name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise InputError(
            f"{folder / CONFIG}: architectures has {name!r}, which the installed transformers "
            f"{hub.__version__} has not; name one of its classes"
        )
    return found


class _Auto:
    """The class of a model by its configuration, where no architecture is named."""

    __name__ = "AutoModel"

    def __init__(self, hub: Any) -> None:
        self.from_pretrained = hub.AutoModel.from_pretrained
        self._from_config = hub.AutoModel.from_config


def _refuse_pickles(folder: Path) -> None:
    found = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if found:
        raise InputError(
            f"{folder}: its weights are in {found[0]}, which may run code and is not read; save "
            "them as model.safetensors (save_pretrained does), or take the file away to begin "
            "with random ones"
        )


@contextmanager
def _offline(hub: Any) -> Iterator[None]:
    """Keep transformers from the network, and from writing on the terminal."""
    constants: Any = importlib.import_module("huggingface_hub.constants")
    logging = hub.utils.logging
    before = constants.HF_HUB_OFFLINE, logging.get_verbosity(), logging.is_progress_bar_enabled()
    constants.HF_HUB_OFFLINE = True
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before[0]
        logging.set_verbosity(before[1])
        if before[2]:
            logging.enable_progress_bar()


def _image_of(config: Any) -> tuple[int, ...] | None:
    """Return the shape of an image as a configuration says, if it does."""
    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    sides = (size, size) if isinstance(size, int) else tuple(size or ())
    if isinstance(channels, int) and len(sides) == 2 and all(isinstance(n, int) for n in sides):
        return (channels, *sides)
    return None
