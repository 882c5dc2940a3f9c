"""Templates become messages: Jinja2 files in a sandbox, one file a message, filled per person."""

from notify.rendering.compose import Template as Template
from notify.rendering.templates import Templates as Templates
