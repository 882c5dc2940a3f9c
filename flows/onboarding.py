from _people import Onboarded, SignedUp, newcomer
from notify.engine import prefect_flow
from notify.workflow import Notification, workflow


@workflow("onboarding", on="user/signup.completed", to=newcomer, tags=["accounts"], parameters={"minutes": 5.0})
async def onboarding(n: Notification[SignedUp]) -> None:
    """Ask three services to set up a new account, wait for their answers, and say what is there and what is to come."""
    await n.all(
        n.emit("email/welcome.send", n.payload),
        n.emit("subscription/trial.create", n.payload),
        n.emit("crm/contact.add", n.payload),
    )
    minutes = n.parameters["minutes"]
    welcome, trial, contact = await n.all(
        n.wait_for_event("email-sent", "email/welcome.sent", match="userId", minutes=minutes),
        n.wait_for_event("subscription-created", "subscription/trial.created", match="userId", minutes=minutes),
        n.wait_for_event("crm-synced", "crm/contact.added", match="userId", minutes=minutes),
    )
    answers = {"welcome": welcome, "trial": trial, "contact": contact}
    missing = [what for what, answer in answers.items() if answer is None]
    ends = trial.data["endsAt"] if trial else None
    await n.emit("user/onboarding.completed", Onboarded(userId=n.payload.userId, missing=missing))
    await n.in_app("ready", ends=ends)
    if welcome is None:
        await n.email("ready", ends=ends)


flow = prefect_flow(onboarding)
