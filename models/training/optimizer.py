"""Adam without torch.compile, which this project does not use."""

from inspect import unwrap

import torch


class Adam(torch.optim.Adam):
    """torch's own Adam (Kingma and Ba, 2015), out of the wrappers that are there for torch.compile.

    When first called they import torch._dynamo, which takes every process that trains a second and some 70 MiB.
    """

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
