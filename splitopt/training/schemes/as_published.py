"""SplitFed as the script of its authors trains and tests it, where that differs from the paper.

Read from the code that SplitFed (Thapa et al. 2022, footnote 4) points to:

* The server's optimizer is made anew for every batch, so that Adam never has more than one gradient
  to go by: each of its steps is the learning rate times the sign of the gradient. The clients' are
  made anew in every round.
* Averages count every client alike, whatever its samples.
* A client is tested when its turn is over: the client part is the common one from *before* the
  round, the server part the one that has just learned from this client, of its own in SplitFedV1
  (for the last client their average). The two have never been trained together. The accuracy of a
  round is the mean over the clients, each on its own share of the test data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import Part
from splitopt.training.options import Role

State = dict[str, Tensor]


def renew_servers(parts: Sequence[Part], roles: Sequence[Role]) -> None:
    """Make the optimizers of the server's parts anew, as before every batch of the script."""
    for part, role in zip(parts, roles, strict=True):
        if role == "server":
            part.reset_optimizer()


def joined(before: Mapping[str, Tensor], own: Copy, after: Mapping[str, Tensor]) -> State:
    """Return a state of the whole model: the client part of one, the server part of another.

    Parameters
    ----------
    before, after
        States of the whole model, from before and from after a client's turn.
    own
        A copy that says which tensors are the client's.
    """
    held = {id(value) for value in own.parts[0].module.state_dict(keep_vars=True).values()}
    names = own.model.state_dict(keep_vars=True).items()
    return {
        name: (before if id(value) in held else after)[name].detach().clone()
        for name, value in names
    }
