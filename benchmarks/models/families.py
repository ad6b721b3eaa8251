"""The models of the table: small configurations of HuggingFace, shipped networks, and libraries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKENS, LENGTH, CLASSES = 64, 12, 4
IMAGE = (3, 16, 16)


@dataclass(frozen=True)
class Family:
    """A model, and what it is trained for.

    Parameters
    ----------
    name
        In the table.
    config
        What stands in ``config.json``, for a model of HuggingFace; None otherwise.
    target
        How a command line names it; None for a folder that `write` makes.
    shape
        Of one sample; numbers of tokens where `tokens` says so.
    task
        What it is trained for.
    """

    name: str
    config: dict[str, Any] | None = None
    target: str | None = None
    shape: tuple[int, ...] = (LENGTH,)
    task: str = "classification"
    classes: int = CLASSES

    @property
    def takes_tokens(self) -> bool:
        """Whether a sample is a row of token ids."""
        return len(self.shape) == 1

    def write(self, folder: Path) -> str:
        """Return how the model is named, after its folder has been written if it has one."""
        if self.config is None:
            assert self.target is not None
            return self.target
        place = folder / self.name.replace(" ", "-").lower()
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps(self.config))
        return f"hf:{place}"


def _bert() -> dict[str, Any]:
    return {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        "id2label": {str(k): f"class {k}" for k in range(CLASSES)},
        "label2id": {f"class {k}": k for k in range(CLASSES)},
        "vocab_size": TOKENS,
    }


def _distilbert() -> dict[str, Any]:
    return {
        "architectures": ["DistilBertForSequenceClassification"],
        "model_type": "distilbert",
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 32,
        "max_position_embeddings": 32,
        **{k: v for k, v in _bert().items() if k in ("id2label", "label2id", "vocab_size")},
    }


def _vit() -> dict[str, Any]:
    return {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "image_size": IMAGE[1],
        "patch_size": 4,
        "num_channels": IMAGE[0],
        **{k: v for k, v in _bert().items() if k in ("id2label", "label2id")},
    }


def _gpt2(*, tied: bool) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_positions": 32,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "tie_word_embeddings": tied,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "vocab_size": TOKENS,
    }


def _llama() -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32,
        "tie_word_embeddings": False,
        "attention_dropout": 0.1,
        "vocab_size": TOKENS,
    }


_NEXT = {"task": "language", "classes": TOKENS}
FAMILIES = (
    Family("BERT", _bert()),
    Family("DistilBERT", _distilbert()),
    Family("ViT", _vit(), shape=IMAGE),
    Family("GPT-2", _gpt2(tied=False), **_NEXT),  # type: ignore[arg-type]
    Family("GPT-2 tied", _gpt2(tied=True), **_NEXT),  # type: ignore[arg-type]
    Family("Llama", _llama(), **_NEXT),  # type: ignore[arg-type]
    Family("cnn", target="cnn", shape=(1, 8, 8)),
    Family("lenet12", target="lenet12", shape=(1, 28, 28)),
    Family("resnet18", target="resnet18", shape=(3, 32, 32)),
    Family("vgg11", target="vgg11", shape=(3, 32, 32)),
    Family("mobilenetv2", target="mobilenetv2", shape=(3, 32, 32)),
    Family("gpt", target="gpt", **_NEXT),  # type: ignore[arg-type]
    Family("torchvision resnet18", target="torchvision.models:resnet18", shape=(3, 64, 64)),
    Family("timm resnet18", target="timm.models.resnet:resnet18", shape=(3, 64, 64)),
)
