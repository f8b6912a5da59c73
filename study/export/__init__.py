"""Writes a network that a study trained as an ONNX file, with a model card: `python -m study.export DIR`."""
