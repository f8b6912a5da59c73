"""Adam without torch.compile, which this project does not use."""

from inspect import unwrap

import torch


class Adam(torch.optim.Adam):
    """Is torch's Adam (Kingma and Ba, 2015) without the wrappers for torch.compile.

    On their first call the wrappers import torch._dynamo, which costs every process that trains time and memory.
    """

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
