from __future__ import annotations

import pytest

from splitopt.profiles.counting.layers import Ledger, Tensor
from splitopt.profiles.published.architectures import basic_block


def test_a_convolution_by_hand():
    """A 3x3 convolution of stride 2 on 2 x 5 x 5 to 4 channels, counted by hand."""
    ledger = Ledger()
    y = ledger.conv(Tensor(2, 5, 5), 4, 3, 2, bias=True)
    assert (y.channels, y.height, y.width) == (4, 3, 3)
    unit = ledger.close("conv", y)
    assert unit.macs == 9 * 2 * 4 * 9
    assert unit.parameters == 9 * 2 * 4 + 4
    assert unit.kept_bytes == 4 * 50
    assert unit.output_elements == 36


def test_a_tensor_is_kept_once():
    """An input that two layers need counts once, and so does ReLU's result in the next layer."""
    ledger = Ledger()
    x = Tensor(4, 2, 2)
    y = ledger.relu(ledger.conv(x, 4, 1))
    ledger.conv(x, 4, 1)
    ledger.conv(y, 4, 1)
    assert ledger.close("pair", y).kept_bytes == 4 * (16 + 16)


def _torch_block(torch, channels_in, channels, stride, kernel):
    """Build a basic block of the same layers in PyTorch."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
            self.relu = nn.ReLU(inplace=True)
            self.shortcut = nn.Sequential()
            if stride != 1 or channels_in != channels:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False),
                    nn.BatchNorm2d(channels),
                )

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.shortcut(x))

    return Block()


def _torch_tail(torch):
    """Build a net with every other kind of layer: pooling, dropout, linear."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3),
        nn.MaxPool2d(3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        nn.Linear(8 * 49, 6),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(6, 5),
    )


def _kept_bytes(torch, module, shape, batch):
    """Sum the storages that autograd saves, parameters and statistics aside."""
    own = [*module.parameters(), *module.buffers()]
    skip = {tensor.untyped_storage()._cdata for tensor in own}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in skip:
            saved[storage._cdata] = tensor
        return tensor

    x = torch.empty(batch, *shape, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(x)
    assert result.shape[0] == batch
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def _compare(torch, module, shape, unit):
    """Compare MACs, parameters and kept bytes of a module with a counted unit."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module(torch.empty(2, *shape, device="meta"))
    assert counter.get_total_flops() == 2 * 2 * unit.macs
    assert sum(tensor.numel() for tensor in module.parameters()) == unit.parameters
    statistics = [tensor.numel() for tensor in module.buffers() if tensor.ndim]
    assert sum(statistics) == unit.statistics
    # The difference of two batches leaves out what is saved once per batch, such as the means.
    per_sample = [_kept_bytes(torch, module, shape, batch) for batch in (2, 3)]
    assert per_sample[1] - per_sample[0] == unit.kept_bytes


@pytest.mark.train
@pytest.mark.parametrize(
    ("channels_in", "channels", "stride", "kernel"), [(4, 4, 1, 1), (4, 8, 2, 1), (4, 8, 2, 3)]
)
def test_a_basic_block_agrees_with_torch(channels_in, channels, stride, kernel):
    """MACs, parameters and saved tensors of a block are those that PyTorch reports."""
    torch = pytest.importorskip("torch")
    ledger = Ledger()
    y = basic_block(ledger, Tensor(channels_in, 9, 9), channels, stride, kernel)
    with torch.device("meta"):
        module = _torch_block(torch, channels_in, channels, stride, kernel)
    _compare(torch, module, (channels_in, 9, 9), ledger.close("block", y))


@pytest.mark.train
def test_the_other_layers_agree_with_torch():
    """The same holds for pooling, dropout and linear layers in a chain."""
    torch = pytest.importorskip("torch")
    ledger = Ledger()
    x = ledger.conv(Tensor(3, 32, 32), 8, 7, 2, bias=True)
    x = ledger.relu(ledger.batch_norm(ledger.max_pool(x, 3, 2, 1)))
    x = ledger.relu(ledger.linear(ledger.average_pool(x, 7), 6))
    x = ledger.linear(ledger.dropout(x), 5)
    with torch.device("meta"):
        module = _torch_tail(torch)
    _compare(torch, module, (3, 32, 32), ledger.close("tail", x))
