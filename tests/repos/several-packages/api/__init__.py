from core.clock import now

__all__ = ['now']
