"""What a workflow is, as its source shows it: the steps it may ask for, read without running it."""

from notify.shapes.changes import Change as Change
from notify.shapes.changes import Collecting as Collecting
from notify.shapes.changes import Standing as Standing
from notify.shapes.changes import of_steps as of_steps
from notify.shapes.changes import of_windows as of_windows
from notify.shapes.reading import read as read
from notify.shapes.shape import OPEN as OPEN
from notify.shapes.shape import Shape as Shape
from notify.shapes.shape import Shown as Shown
from notify.shapes.shape import kept as kept
