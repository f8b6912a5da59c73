"""Batch normalisation, ReLU and max pooling as one operation; layer.py picks C, Triton or torch."""
