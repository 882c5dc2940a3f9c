"""The events around a new account: the sign-up, what it sets off, and what comes back."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, Field

from notify.model import Event, JsonObject
from notify.workflow import event


@event("user/signup.completed", subject="userId")
@event("email/welcome.send", subject="userId")
@event("subscription/trial.create", subject="userId")
@event("crm/contact.add", subject="userId")
class SignedUp(BaseModel):
    """Somebody made an account. Whoever has to do something about it is told the same."""

    userId: str = Field(title="User")
    email: str = Field(title="E-mail address")
    plan: str
    #: Known of those who have paid before; for everybody else whoever creates the trial makes the customer too.
    stripeCustomerId: str | None = Field(None, title="Stripe customer")


@event("email/welcome.sent", subject="userId")
@event("crm/contact.added", subject="userId")
class Done(BaseModel):
    """What was asked for this account is done."""

    userId: str = Field(title="User")


@event("subscription/trial.created", subject="userId")
class TrialCreated(Done):
    """The account's trial has begun."""

    endsAt: AwareDatetime = Field(title="Ends at")


@event("user/onboarding.completed", subject="userId")
class Onboarded(Done):
    """What an account needs was asked for, and this much of it (welcome, trial, contact) did not come in time."""

    missing: list[str]


def newcomer(event: Event) -> JsonObject:
    """Whoever signed up, who may be reached at the address they gave."""
    return {"subscriberId": event.data["userId"], "email": event.data["email"]}
