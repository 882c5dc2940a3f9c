"""The front door: what applications and workflow authors use."""

from notify.client import AsyncNotify as AsyncNotify
from notify.client import Notify as Notify
from notify.errors import NotifyError as NotifyError
from notify.model import Channel as Channel
from notify.model import Event as Event
from notify.settings import Settings as Settings
from notify.workflow import CancelOn as CancelOn
from notify.workflow import Nobody as Nobody
from notify.workflow import Notification as Notification
from notify.workflow import Port as Port
from notify.workflow import bulk as bulk
from notify.workflow import event as event
from notify.workflow import history as history
from notify.workflow import workflow as workflow
