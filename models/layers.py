"""The building blocks of the networks."""

from torch import Tensor, nn

from models.convolution import Conv2d
from models.norm_relu_pool import norm_relu_pool


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 1) -> list[nn.Module]:
    """A size-keeping convolution without bias, batch normalisation (Ioffe and Szegedy, 2015) and ReLU.

    Args:
        in_channels: channels of the input [n, in_channels, h, w].
        out_channels: channels of the output [n, out_channels, h, w].
        kernel_size: odd side of the square kernel, in pixels.
        groups: `in_channels` makes the convolution depthwise, 1 makes it an ordinary one.
    """
    return [
        Conv2d(in_channels, out_channels, kernel_size, groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


class Features(nn.Sequential):
    """Layers in a row, of which each batch normalisation is followed by a ReLU, and that perhaps by a max pool.

    In training these two or three run as one, see models/norm_relu_pool.py, and their forward hooks do not.
    """

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            output: Tensor = super().forward(images)
            return output
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            if isinstance(layer, nn.BatchNorm2d):
                layers.pop(0)
                side = 1
                if layers and isinstance(pool := layers[0], nn.MaxPool2d):
                    layers.pop(0)
                    assert isinstance(pool.kernel_size, int)
                    side = pool.kernel_size
                images = norm_relu_pool(images, layer, side)
            else:
                images = layer(images)
        return images


class GlobalAveragePool(nn.Module):
    """Means over the pixels, [n, channels, h, w] to [n, channels, 1, 1].

    Taken channels last, so that the gradient comes back in that layout: with AdaptiveAvgPool2d it did not, and the
    pool and the ReLU before it took 28 ms forward and backward on a CPU where this takes 9 (MobileNet-like, batch 128).
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).mean((1, 2), keepdim=True).permute(0, 3, 1, 2)
