"""Instants: when somebody wakes, when a window ends, when to try again. Pure; the present is always an argument."""

from notify.timing.clockwork import WIDEST as WIDEST
from notify.timing.clockwork import alarm_bucket as alarm_bucket
from notify.timing.clockwork import retry_at as retry_at
from notify.timing.clockwork import spoken as spoken
from notify.timing.hours import Hours as Hours
from notify.timing.hours import dump as dump
from notify.timing.hours import hours as hours
from notify.timing.hours import next_open as next_open
from notify.timing.lengths import Length as Length
from notify.timing.lengths import later as later
from notify.timing.lengths import length as length
from notify.timing.reach import reachable as reachable
from notify.timing.rules import cron as cron
from notify.timing.rules import timed as timed
from notify.timing.slots import Slots as Slots
from notify.timing.slots import next_slot as next_slot
from notify.timing.slots import quarters as quarters
from notify.timing.slots import utc_cron as utc_cron
from notify.timing.zones import existing as existing
from notify.timing.zones import known_zone as known_zone
from notify.timing.zones import zone as zone
