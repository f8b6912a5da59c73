"""The two networks in Keras 3, as the layers of models/ are, for `benchmarks.throughput`."""

import time
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from models.training.recipe import BASELINE_LEARNING_RATE


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes when each step ends, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


def compiled(arch: str, threads: int) -> Any:
    """A compiled model of 10 classes for inputs [n, 32, 32, 3]; sets TensorFlow's threads for the process."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.Sequential([keras.Input((32, 32, 3)), *{"alexnet": _alexnet, "mobilenet": _mobilenet}[arch]()])
    model.compile(
        optimizer=keras.optimizers.Adam(BASELINE_LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _normalised(convolution: Any) -> list[Any]:
    return [convolution, layers.BatchNormalization(), layers.ReLU()]


def _convolution(channels: int, side: int = 3) -> list[Any]:
    return _normalised(layers.Conv2D(channels, side, padding="same", use_bias=False))


def _depthwise() -> list[Any]:
    return _normalised(layers.DepthwiseConv2D(3, padding="same", use_bias=False))


def _alexnet() -> list[Any]:
    hidden = [[layers.Dense(units, activation="relu"), layers.Dropout(0.5)] for units in (1024, 512)]
    return [
        *_convolution(64),
        layers.MaxPooling2D(),
        *_convolution(192),
        layers.MaxPooling2D(),
        *_convolution(384),
        *_convolution(256),
        layers.MaxPooling2D(),
        layers.Flatten(),
        *hidden[0],
        *hidden[1],
        layers.Dense(10),
    ]


def _mobilenet() -> list[Any]:
    return [
        *_convolution(32),
        *_depthwise(),
        *_convolution(64, 1),
        layers.MaxPooling2D(),
        *_depthwise(),
        *_convolution(128, 1),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]
