"""Small networks of which several tensors have to cross a cut; imported inside tests only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Convolution, normalisation and an activation in place."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, out, 3, padding=1)
        self.norm = nn.BatchNorm2d(out)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class UNet(nn.Module):
    """Three levels with skips: at the lowest one three tensors are alive."""

    def __init__(self, width: int = 4, classes: int | None = None) -> None:
        super().__init__()
        self.enc1, self.enc2 = Block(1, width), Block(width, 2 * width)
        self.middle = Block(2 * width, 4 * width)
        self.pool1, self.pool2 = nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.dec2 = Block(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.dec1 = Block(2 * width, width)
        self.head = nn.Conv2d(width, classes or 2, 1)
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        one = self.enc1(x)
        two = self.enc2(self.pool1(one))
        y = self.middle(self.pool2(two))
        y = self.dec2(torch.cat([self.up2(y), two], 1))
        y = self.head(self.dec1(torch.cat([self.up1(y), one], 1)))
        return y if self.classes is None else y.mean((2, 3))


def digits_unet() -> UNet:
    """Build one that tells ten digits apart."""
    return UNet(classes=10)


class TwoBranches(nn.Module):
    """Two inputs that meet behind a branch of each; the second one waits untouched."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten())
        self.table = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Dropout(0.3))
        self.head = nn.Linear(3 * 16 + 6, 3)

    def forward(self, image: Tensor, table: Tensor) -> Tensor:
        x = self.image(image)
        return self.head(torch.cat([x, self.table(table)], 1))


class Dense(nn.Module):
    """Every layer reads all before it."""

    def __init__(self, layers: int = 3, growth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, growth, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(k * growth), nn.ReLU(), nn.Conv2d(k * growth, growth, 1))
            for k in range(1, layers + 1)
        )
        self.head = nn.Linear((layers + 1) * growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = [self.stem(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.head(torch.cat(found, 1).mean((2, 3)))


class Attends(nn.Module):
    """A block of a transformer that is given the mask of padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        y, _ = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)
        x = self.norm(x + y)
        return x + self.mlp(x)


class Masked(nn.Module):
    """Tokens of which 0 is padding: every block reads the mask, and so does the end."""

    def __init__(self, width: int = 6, blocks: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.blocks = nn.ModuleDict({f"b{k}": Attends(width) for k in range(blocks)})
        self.head = nn.Linear(width, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        padding = tokens == 0
        x = self.embed(tokens)
        for block in self.blocks.values():
            x = block(x, padding)
        kept = (~padding).unsqueeze(-1).to(x.dtype)
        return self.head((x * kept).sum(1) / kept.sum(1).clamp(min=1.0))


class Encoded(nn.Module):
    """The encoder of torch.nn with a mask of padding and an embedding; sequences come first."""

    def __init__(self, batch_first: bool = True, causal: bool = False) -> None:
        super().__init__()
        self.batch_first, self.causal = batch_first, causal
        self.embed = nn.Embedding(11, 6)
        layer = nn.TransformerEncoderLayer(6, 2, 8, 0.1, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(
            layer, 3, norm=nn.LayerNorm(6), enable_nested_tensor=False
        )
        self.head = nn.Linear(6, 3)
        self.register_buffer("mask", torch.ones(5, 5, dtype=torch.bool).triu(1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        mask = self.mask if self.causal else None
        if not self.batch_first:
            x = x.transpose(0, 1)
        x = self.encoder(x, mask=mask, src_key_padding_mask=tokens == 0)
        return self.head(x.mean(1 if self.batch_first else 0))


class Mixed(nn.Module):
    """Beside the hidden state cross truth values, bytes, whole numbers and lengths, all odd."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.embed = nn.Embedding(7, 3)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        signs = x > 0
        levels = (x * 10).to(torch.uint8)
        last = tokens[:, -1]
        y = self.two(functional.relu(self.one(x)))
        y = y + self.embed(tokens.clamp(min=0)).sum(1) * signs[:, 1:] + levels[:, :1].to(y.dtype)
        return self.three(y) * last.clamp(1, 3).unsqueeze(1).to(y.dtype)


class Contained(nn.Module):
    """Containers in containers, some of them in others' lists, one layer of a dictionary twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 4))),
                nn.ModuleDict({"left": nn.Linear(4, 4), "right": nn.Linear(4, 4)}),
            ]
        )
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True),
            2,
            enable_nested_tensor=False,
        )
        self.tail = nn.Sequential(nn.ModuleDict({"out": nn.Linear(4, 2)})["out"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](x)
        x = self.stages[1]["left"](x).relu() + self.stages[1]["right"](x)
        return self.tail(self.encoder(x.unsqueeze(1)).squeeze(1))


class Translates(nn.Module):
    """The decoder of torch.nn: what it attends to crosses beside what its layers give."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Embedding(11, 6), nn.Embedding(11, 6)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 8, 0.1, batch_first=True), 2
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(6, 2, 8, 0.1, batch_first=True), 2
        )
        self.head = nn.Linear(6, 3)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory = self.encoder(self.one(source))
        return self.head(self.decoder(self.two(target), memory).mean(1))


MASKS = torch.tensor([[3, 4, 5, 0, 0], [1, 2, 0, 0, 0], [1, 9, 8, 7, 6], [2, 0, 0, 0, 0]])


class TwoTypes(nn.Module):
    """A branch of each type of real numbers: one of 8 numbers and one of 5 are alive together."""

    def __init__(self, wide: torch.dtype = torch.float32, narrow: torch.dtype = torch.bfloat16):
        super().__init__()
        self.kinds = wide, narrow
        self.first, self.left = nn.Linear(6, 8).to(wide), nn.Linear(8, 8).to(wide)
        self.right, self.back = nn.Linear(8, 5).to(narrow), nn.Linear(5, 8).to(narrow)
        self.end = nn.Linear(8, 3).to(wide)

    def forward(self, x: Tensor) -> Tensor:
        wide, narrow = self.kinds
        x = torch.tanh(self.first(x.to(wide)))
        left, right = torch.tanh(self.left(x)), torch.tanh(self.right(x.to(narrow)))
        return self.end(left * 0.5 + self.back(right).to(wide)).float()


CASES = {
    "unet": (UNet, (torch.randn(4, 1, 8, 8),)),
    "two branches": (TwoBranches, (torch.randn(4, 1, 6, 6), torch.randn(4, 5))),
    "dense": (Dense, (torch.randn(4, 1, 5, 5),)),
    "mask": (Masked, (MASKS,)),
    "encoder": (Encoded, (MASKS,)),
    "causal encoder": (lambda: Encoded(causal=True), (MASKS,)),
    "sequence first": (lambda: Encoded(batch_first=False), (MASKS,)),
    "mixed": (Mixed, (torch.randn(4, 4), torch.randint(0, 7, (4, 5)))),
    "translated": (Translates, (MASKS, MASKS.flip(0))),
    "two types": (TwoTypes, (torch.randn(4, 6),)),
    "contained": (Contained, (torch.randn(4, 4),)),
}
"""Name -> how a network is made, and a batch for it."""
