"""From an image file to the pixels that the networks take. `read_image` is the one way."""

from models.images.reading import read_image as read_image
