"""A shop."""

from shop.prices import gross

__all__ = ["gross"]
