"""Trackers: a study in TensorBoard, MLflow or Weights & Biases."""
