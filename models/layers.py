"""The building block that the networks share."""

from torch import nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 1) -> list[nn.Module]:
    """A size-keeping convolution without bias, batch normalisation (Ioffe and Szegedy, 2015) and ReLU.

    Args:
        in_channels: channels of the input [n, in_channels, h, w].
        out_channels: channels of the output [n, out_channels, h, w].
        kernel_size: odd side of the square kernel, in pixels.
        groups: `in_channels` makes the convolution depthwise, 1 makes it an ordinary one.
    """
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
