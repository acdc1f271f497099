"""Texts to vectors: tokenization, the embedders of CPU and GPU, the choice between them."""
