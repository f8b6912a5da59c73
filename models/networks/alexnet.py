"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012), scaled to 32x32 images."""

from torch import Tensor, nn

from models.networks.layers import Features, conv_bn_relu


class AlexNet(nn.Module):
    """Has four 3x3 convolutions, three 2x2 pools and three linear layers; 6,387,658 parameters for 10 classes.

    Differences from the paper: 3x3 kernels throughout, batch normalisation in place of local response
    normalisation, and smaller fully connected layers, because images have 32x32 pixels.

    Args:
        num_classes: number of logits, at least 1.
        dropout: probability in [0, 1) of zeroing a unit after each hidden fully connected layer.
    """

    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = Features(
            *conv_bn_relu(3, 64),
            nn.MaxPool2d(2),
            *conv_bn_relu(64, 192),
            nn.MaxPool2d(2),
            *conv_bn_relu(192, 384),
            *conv_bn_relu(384, 256),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256 * 4 * 4, 1024),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(1024, 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(512, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [n, 3, 32, 32] to logits [n, num_classes]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
