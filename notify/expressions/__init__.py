"""Expressions over two events: which candidate the original one waits for, is ended by, or shares a window with."""

from notify.expressions.matching import Expression as Expression
from notify.expressions.matching import expression as expression
from notify.expressions.seen import MISSING as MISSING
from notify.expressions.seen import canonical as canonical
from notify.expressions.seen import path_value as path_value
from notify.expressions.seen import seen as seen
