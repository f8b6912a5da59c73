"""The optimizers and the learning rate of a recipe.

The optimizers are torch's own without the wrappers for torch.compile, which this project does not use. On their first
call the wrappers import torch._dynamo, which costs every process that trains time and memory.
"""

import math
from collections.abc import Iterable
from inspect import unwrap

import torch
from torch import nn
from torch.optim import Optimizer

from models.training.recipe import TrainingConfig


class _Unwrapped(Optimizer):
    add_param_group = unwrap(Optimizer.add_param_group)
    zero_grad = unwrap(Optimizer.zero_grad)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)


class Adam(_Unwrapped, torch.optim.Adam):
    """Is torch's Adam (Kingma and Ba, 2015)."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class AdamW(_Unwrapped, torch.optim.AdamW):
    """Is torch's AdamW (Loshchilov and Hutter, 2019)."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class SGD(_Unwrapped, torch.optim.SGD):
    """Is torch's stochastic gradient descent, with momentum (Sutskever et al., 2013)."""

    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


def make_optimizer(config: TrainingConfig, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return the recipe's optimizer of these parameters; weight decay is the same for all of them."""
    decay = config.constant("weight_decay")
    if config.optimizer == "sgd":
        momentum = config.constant("momentum")
        # Without momentum there is nothing to look ahead with, and torch refuses it.
        nesterov = config.nesterov and momentum > 0
        return SGD(parameters, config.lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True)
    kind = AdamW if config.optimizer == "adamw" else Adam
    return kind(parameters, config.lr, weight_decay=decay, fused=True, capturable=True)


def learning_rate(config: TrainingConfig, epoch: int, step: int, steps: int) -> float:
    """Return the learning rate of one step; it depends on nothing but the arguments.

    It grows linearly to the recipe's rate over the epochs of the warm-up. Then it stays, or it falls along half a
    cosine (Loshchilov and Hutter, 2017) and would reach 0 in the step after the last one of `max_epochs`.

    Args:
        config: the recipe.
        epoch: counts from 1.
        step: counts from 0 in each epoch.
        steps: steps of an epoch.
    """
    done, warm_up = (epoch - 1) * steps + step, config.warmup_epochs * steps
    if done < warm_up:
        return config.lr * (done + 1) / warm_up
    if config.schedule == "constant":
        return config.lr
    return config.lr * (1 + math.cos(math.pi * (done - warm_up) / (config.max_epochs * steps - warm_up))) / 2
