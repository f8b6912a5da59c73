"""The building blocks of the networks."""

from torch import Tensor, nn

from models.kernels.available import Switchable
from models.kernels.convolution import Conv2d
from models.kernels.norm_relu_pool.layer import norm_relu_pool


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 1) -> list[nn.Module]:
    """Return a size-keeping convolution without bias, batch normalisation (Ioffe and Szegedy, 2015) and ReLU.

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


class Features(Switchable, nn.Sequential):
    """Runs layers in a row.

    In training, if the kernels are switched on (models/kernels), a batch normalisation, the ReLU after it and the max
    pool after the ReLU run as one operation, and their forward hooks do not run.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, c, h, w] to the output of the last layer."""
        if not self.uses_kernels:
            output: Tensor = super().forward(images)
            return output
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            if type(layer) is nn.BatchNorm2d and layer.training and layers and type(layers[0]) is nn.ReLU:
                layers.pop(0)
                side = _side_of_windows(layers[0]) if layers else 1
                if side > 1:
                    layers.pop(0)
                images = norm_relu_pool(images, layer, side)
            else:
                images = layer(images)
        return images


def _side_of_windows(layer: nn.Module) -> int:
    """Return the side in pixels of the windows of a plain max pool; 1 for all other layers and pools."""
    is_plain = (
        type(layer) is nn.MaxPool2d
        and layer.stride == layer.kernel_size
        and (layer.padding, layer.dilation) == (0, 1)
        and not (layer.return_indices or layer.ceil_mode)
    )
    return layer.kernel_size if is_plain and isinstance(layer.kernel_size, int) else 1


class GlobalAveragePool(nn.Module):
    """Pools globally by the average: [n, channels, h, w] to [n, channels, 1, 1].

    The mean is taken channels last, so the gradient comes back in that layout. With AdaptiveAvgPool2d it does not, and
    the pool and the ReLU before it are slower on a CPU.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Average over the pixels."""
        return images.permute(0, 2, 3, 1).mean((1, 2), keepdim=True).permute(0, 3, 1, 2)
