"""Parts of a module as over a network: each is entered by a value, and sent back its gradient."""

from __future__ import annotations


def there_and_back(parts, x, loss):
    """Run the parts forward and their gradients back; return what the last part gives."""
    entries, results = [], []
    for part in parts:
        if results:
            x = results[-1].detach().requires_grad_()
            entries.append(x)
        results.append(part(x))
    loss(results[-1]).backward()
    for entry, result in zip(entries[::-1], results[-2::-1], strict=True):
        if result.requires_grad:
            result.backward(entry.grad)
    return results[-1].detach()
