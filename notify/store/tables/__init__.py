"""The schema, one for SQLite and PostgreSQL."""

from notify.store.tables.base import metadata as metadata
from notify.store.tables.clockwork import alarms as alarms
from notify.store.tables.clockwork import flow_runs as flow_runs
from notify.store.tables.clockwork import installation as installation
from notify.store.tables.clockwork import leases as leases
from notify.store.tables.clockwork import unreported as unreported
from notify.store.tables.incoming import dedupe as dedupe
from notify.store.tables.incoming import events as events
from notify.store.tables.incoming import notify_outbox as notify_outbox
from notify.store.tables.incoming import omissions as omissions
from notify.store.tables.incoming import outbox as outbox
from notify.store.tables.log import attempts as attempts
from notify.store.tables.log import messages as messages
from notify.store.tables.people import preferences as preferences
from notify.store.tables.people import subscribers as subscribers
from notify.store.tables.work import awaited as awaited
from notify.store.tables.work import fanouts as fanouts
from notify.store.tables.work import notifications as notifications
from notify.store.tables.work import steps as steps
from notify.store.tables.work import throttles as throttles
from notify.store.tables.work import versions as versions
from notify.store.tables.work import window_items as window_items
from notify.store.tables.work import windows as windows
