"""``status``: the farm at a glance. Pure."""

from sccachedist.cli.farm.screen import Screen, paragraph
from sccachedist.cli.farm.words import HOME, REMOTE, compiled_share, counted, home_reasons
from sccachedist.printable import some
from sccachedist.records.documents import SERVER_STATES, Recent, SchedulerRow, StatusDocument


def render(document: StatusDocument, screen: Screen) -> str:
    """A line for each kind of fact; what needs attention comes last."""
    waiting = f"{document['running']:,} running, {document['waiting']:,} waiting"
    if document["oldest_wait_secs"] is not None:
        waiting += f" for up to {screen.duration(document['oldest_wait_secs'])}"
    facts = [
        (
            "scheduler",
            f"{screen.text(screen.source)}  version {screen.text(document['version'])}, "
            f"up {screen.duration(document['up_secs'])}",
        ),
        *(("" if index else "schedulers", _scheduler(row, screen)) for index, row in enumerate(document["schedulers"])),
        ("servers", _servers(document, screen)),
        ("slots", f"{document['slots']:,} on {some(document['cpus'], 'CPU')}"),
        *_pause(document, screen),
        ("jobs", waiting),
        ("recently", _recently(document["recent"], screen)),
        ("sent home", _sent_home(document["recent"], screen)),
    ]
    lines = [screen.fitting(f"{name:11}{text}") for name, text in facts]
    for each in document["attention"]:
        title = screen.styled(f"{'attention':11}", "bad" if each["critical"] else "warn")
        told = f"{each['text'].rstrip('.')}. {each['mend']}".rstrip()
        lines.append(title + paragraph(screen.text(told, 1000), screen, " " * 11)[11:])
    return "\n".join(lines)


def is_fine(document: StatusDocument) -> bool:
    """Whether nothing critical needs attention."""
    return not any(each["critical"] for each in document["attention"])


def _scheduler(row: SchedulerRow, screen: Screen) -> str:
    """One of several."""
    state = screen.text(row["state"])
    text = f"{screen.text(row['url'])}  {screen.styled(state, 'bad') if row['state'] == 'silent' else state}"
    if row["since"] is not None:
        text += f" since {screen.clock(row['since'])}"
    if row["differs"]:
        text += f", {screen.styled('differs', 'bad')} in {screen.text(', '.join(row['differs']))}"
    if row["store_silent_since"] is not None:
        text += f", without the lock's store since {screen.clock(row['store_silent_since'])}"
    if row["version"] is not None:
        text += f", version {screen.text(row['version'])}"
    if row["number"] is not None:
        text += f", number {row['number']}"
    return text


def _pause(document: StatusDocument, screen: Screen) -> list[tuple[str, str]]:
    pause = document["paused"]
    if pause is None:
        return []
    return [("paused", f"{screen.clock(pause['since'])} by {screen.text(pause['by'])}: {screen.text(pause['reason'])}")]


def _servers(document: StatusDocument, screen: Screen) -> str:
    states = [state for state in (*SERVER_STATES, *document["servers"]) if document["servers"].get(state)]
    counted = ", ".join(f"{document['servers'][state]} {screen.text(state)}" for state in dict.fromkeys(states))
    text = f"{sum(document['servers'].values()):,}"
    if counted:
        text += f": {counted}"
    if document["published"]:
        text += f" ({document['published']} of the published program)"
    if document["workers"]:
        text += f"; {some(document['workers'], 'worker')} of gateways"
    return text


def _recently(recent: Recent, screen: Screen) -> str:
    compiled = counted(recent["outcomes"], REMOTE)
    share = compiled_share(recent["outcomes"])
    if share is None:
        return f"no compiles in {screen.duration(recent['secs'])}"
    rate = compiled / recent["secs"] if recent["secs"] > 0 else 0.0
    return f"{rate:,.1f} compiles a second, {100 * share:.1f} % on the farm, in {screen.duration(recent['secs'])}"


def _sent_home(recent: Recent, screen: Screen) -> str:
    count = counted(recent["outcomes"], HOME)
    if not count:
        return "none"
    return f"{count:,}: " + ", ".join(f"{screen.text(word)} {count:,}" for word, count in home_reasons(recent))
