"""Derived networks as things of use: preprocessing, feature maps, export, loading, prediction.

A derived network is a plain ``nn.Module``. It is known by its space, its architecture and its number of classes.
"""
