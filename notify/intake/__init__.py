"""Untrusted input becomes nouns, or an error that names the field and the remedy. Pure; nothing is written here."""

from notify.intake.copied import parse_row as parse_row
from notify.intake.events import MAX_BYTES as MAX_BYTES
from notify.intake.events import make_event as make_event
from notify.intake.events import make_trigger as make_trigger
from notify.intake.events import parse_event as parse_event
from notify.intake.people import channel as channel
from notify.intake.people import parse_presence as parse_presence
from notify.intake.people import parse_recipients as parse_recipients
from notify.intake.people import parse_schedule as parse_schedule
from notify.intake.people import parse_subscriber as parse_subscriber
from notify.intake.values import plain as plain
from notify.intake.values import validated as validated
