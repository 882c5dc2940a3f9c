"""What `notify new` writes: a workflow that works as it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from notify import registry
from notify.errors import InvalidInput
from notify.model import Channel
from notify.settings import Settings

EXAMPLE = '{"subscriberId": "ana", "title": "Hello"}'

_FLOW = '''from pydantic import BaseModel

from notify.engine import prefect_flow
from notify.model import Event
from notify.workflow import Notification, event, workflow


@event("{on}")
class {model}(BaseModel):
    """What `{on}` says; events are checked against it when they are emitted."""

    subscriberId: str
    title: str


def recipient(event: Event) -> str:
    """Whom the event concerns."""
    return event.data["subscriberId"]


@workflow("{id}", on="{on}", to=recipient)
async def {name}(n: Notification[{model}]) -> None:
    """Tell the person at once."""
    await n.all({sends})


flow = prefect_flow({name})
'''

_TEST = """from pathlib import Path

from notify.testing import rehearsal

FLOWS = Path(__file__).parent.parent / "flows"


def test_{name}_tells_the_person() -> None:
    with rehearsal("2026-03-02 09:00 UTC", flows=FLOWS) as r:
        r.emit("{on}", {example})

        assert r.sent("ana").channels == {channels}
"""

_TEMPLATES: Mapping[Channel, str] = {
    Channel.IN_APP: "{% block subject %}{{ payload.title }}{% endblock %}\n"
    "{% block body %}Hello {{ subscriber.name }}: {{ payload.title }}.{% endblock %}\n",
    Channel.EMAIL: "{% block subject %}{{ payload.title }}{% endblock %}\n"
    "{% block body %}<p>Hello {{ subscriber.name }},</p>\n<p>{{ payload.title }}</p>{% endblock %}\n",
    Channel.PUSH: "{% block subject %}{{ payload.title }}{% endblock %}\n"
    "{% block body %}{{ payload.title }}{% endblock %}\n",
    Channel.SMS: "{{ payload.title }}\n",
}

_DEPLOYMENTS = """
  - name: notify
    entrypoint: flows/{file}.py:flow
    work_pool: {{name: notify}}
  - name: batch
    entrypoint: flows/{file}.py:flow.batch
    work_pool: {{name: notify}}
"""
_LIST = "name: notify\npull: null\n\ndeployments:\n"


def write(folder: Path, id: str, on: str, channels: Sequence[Channel]) -> Iterator[Path]:
    """Write the files of a new workflow; nothing is written when one of them exists. Answers what was written."""
    unknown = [channel for channel in channels if channel not in _TEMPLATES]
    if unknown or not channels:
        names = ", ".join(_TEMPLATES)
        raise InvalidInput(field="--channels", problem=f"{unknown[0] if unknown else 'none'}", remedy=f"Use {names}")
    name = id.replace("-", "_")
    files = dict(_files(name, id, on, channels))
    taken = [file for file in files if (folder / file).exists()]
    if taken:
        raise InvalidInput(field="ID", problem=f"{taken[0]} exists already", remedy="Choose another id")
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    _list(folder / "prefect.yaml", name)
    yield from (Path(file) for file in files)
    yield Path("prefect.yaml")


def _files(name: str, id: str, on: str, channels: Sequence[Channel]) -> Iterator[tuple[str, str]]:
    model = "".join(part.title() for part in name.split("_"))
    sends = ", ".join(f'n.{channel.value}("{name}")' for channel in channels)
    yield f"flows/{name}.py", _FLOW.format(on=on, id=id, name=name, model=model, sends=sends)
    for channel in channels:
        yield f"flows/templates/{id}/{name}.{channel.value}.j2", _TEMPLATES[channel]
    told = json.dumps([channel.value for channel in Channel if channel in channels])
    yield f"tests/test_{name}.py", _TEST.format(on=on, name=name, example=EXAMPLE, channels=told)


def _list(file: Path, name: str) -> None:
    text = file.read_text() if file.is_file() else _LIST
    file.write_text(text.rstrip("\n") + "\n" + _DEPLOYMENTS.format(file=name))


def list_workflows() -> None:
    """Print what is found in the workflows' folder, broken files too."""
    found = registry.load(Settings.from_env().flows)
    table = Table(title=str(found.folder), title_justify="left")
    for heading in ("workflow", "starts on", "what it does"):
        table.add_column(heading)
    for one in found.workflows.values():
        table.add_row(one.id, ", ".join(one.on) or "a trigger", one.description.split("\n")[0])
    console = Console()
    console.print(table)
    for error in found.broken:
        console.print(str(error))
