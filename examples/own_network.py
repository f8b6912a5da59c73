"""A network of one's own: a function or a class that takes `num_classes` and whatever the study searches."""

from torch import Tensor, nn


class Net(nn.Module):
    """Has `depth` convolutions of `width` channels, each followed by batch normalisation, ReLU and a pool."""

    def __init__(self, num_classes: int, width: int = 32, depth: int = 3, activation: str = "ReLU") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(depth):
            layers += [nn.Conv2d(width if index else 3, width, 3, padding=1), nn.BatchNorm2d(width)]
            layers += [getattr(nn, activation)(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, size, size] to logits [n, num_classes]."""
        logits: Tensor = self.layers(images)
        return logits
