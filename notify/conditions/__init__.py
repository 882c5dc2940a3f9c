"""Stored conditions: JSON Logic rows over facts, checked when they come in, and never a surprise when they are asked.

Our own, as kept libraries do not fit: in datalogic-py null = 0 and "a" < 1 raises, in python-jsonlogic null > 1 does.
"""

from notify.conditions.reading import Condition as Condition
from notify.conditions.reading import condition as condition
