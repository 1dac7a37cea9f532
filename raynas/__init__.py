"""raynas searches neural architectures at scale: one YAML file in, the best architectures and their evidence out."""

__version__ = "0.1.0"
