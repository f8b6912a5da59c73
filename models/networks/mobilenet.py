"""A small network of depthwise separable convolutions, after MobileNet (Howard et al., 2017)."""

from torch import Tensor, nn

from models.networks.layers import Features, GlobalAveragePool, conv_bn_relu


class MobileNetLike(nn.Module):
    """Has a 3x3 convolution, two depthwise separable blocks and global average pooling; 13,898 parameters (10 classes).

    Args:
        num_classes: number of logits, at least 1.
        dropout: probability in [0, 1) of zeroing a pooled feature before the last layer.
    """

    def __init__(self, num_classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = Features(
            *conv_bn_relu(3, 32),
            *conv_bn_relu(32, 32, groups=32),
            *conv_bn_relu(32, 64, kernel_size=1),
            nn.MaxPool2d(2),
            *conv_bn_relu(64, 64, groups=64),
            *conv_bn_relu(64, 128, kernel_size=1),
        )
        self.classifier = nn.Sequential(
            GlobalAveragePool(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(128, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [n, 3, size, size] of any size from 2 to logits [n, num_classes]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
