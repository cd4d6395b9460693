"""``mlflow-mother webhook``: hears of new versions from a server that somebody else runs."""

from __future__ import annotations

import logging
import socket

import click

from mlflow_mother.cli.exit_codes import ExitCode
from mlflow_mother.cli.options import examples, format_option
from mlflow_mother.cli.output import note, print_json, print_table
from mlflow_mother.cli.watch import SECONDS, full_every_option, make_watcher, say, stopped_by_signals

name_option = click.option(
    "--name",
    default="mlflow-mother",
    metavar="NAME",
    help="The webhook's name at the server (mlflow-mother by default).",
)


@click.group(
    epilog=examples(
        "mlflow-mother webhook register https://lineage.example.org/webhook",
        "mlflow-mother webhook serve --port 8080",
    )
)
def webhook() -> None:
    """Webhooks of a server that has no Mother."""


@webhook.command(
    epilog=examples(
        "MLFLOW_MOTHER_WEBHOOK_SECRET_FILE=/run/secrets/mother mlflow-mother webhook serve",
        "mlflow-mother webhook serve --host 0.0.0.0 --port 8080 --interval 600",
    )
)
@click.option("--host", default="127.0.0.1", metavar="HOST", help="Address to listen at (127.0.0.1 by default).")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8765,
    metavar="PORT",
    help="Port to listen at (8765 by default); 0 takes a free one.",
)
@click.option(
    "--interval",
    type=SECONDS,
    default=300.0,
    metavar="SECONDS",
    help="Seconds between looks for new versions that no delivery has told of (300 by default).",
)
@full_every_option
def serve(host: str, port: int, interval: float, full_every: float) -> None:
    """Receives webhooks at `/webhook`, and follows the registry as `watch` does.

    A delivery must be signed with the secret in MLFLOW_MOTHER_WEBHOOK_SECRET, or in the file that
    MLFLOW_MOTHER_WEBHOOK_SECRET_FILE names. It only says which version to look at: the registry is asked what that
    is. What is not delivered is found by the regular looks. `/health` answers load balancers.
    """
    from mlflow_mother.server.webhooks import HEALTH, PATH, application, listening
    from mlflow_mother.service.deliveries import shared_secret
    from mlflow_mother.settings import load_settings

    # A line for each request that is none or comes too many, which anybody can send.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    secret = shared_secret(load_settings())
    watcher = make_watcher(interval, full_every)
    app = application(
        secret, watcher.hint, lambda: {"registry_answered_at": watcher.looked_at}, watcher.registry.workspace
    )
    with _bound(host, port) as listener, listening(listener, app), stopped_by_signals(watcher.stop):
        shown = f"[{host}]" if ":" in host else host
        say(f"receiving at http://{shown}:{listener.getsockname()[1]}{PATH}, health at {HEALTH}")
        watcher.run()


@webhook.command(
    epilog=examples(
        "MLFLOW_MOTHER_WEBHOOK_SECRET_FILE=/run/secrets/mother \\",
        "  mlflow-mother webhook register https://mother.example.com/webhook",
    )
)
@click.argument("url")
@name_option
@click.option("--no-test", is_flag=True, help="Do not ask the server for a delivery now.")
def register(url: str, name: str, no_test: bool) -> ExitCode:
    """Makes the MLflow server tell URL, where `webhook serve` listens, of every new model version.

    The deliveries are signed with the secret in MLFLOW_MOTHER_WEBHOOK_SECRET, or in the file that
    MLFLOW_MOTHER_WEBHOOK_SECRET_FILE names. A webhook of the same name is changed. Then the server is asked for a
    delivery as a test; the exit status is 1 when that does not arrive.
    """
    from mlflow_mother.registry import webhooks
    from mlflow_mother.registry.connection import Registry, give_up_soon
    from mlflow_mother.service.deliveries import shared_secret

    registry = Registry.current()
    secret = shared_secret(registry.settings)
    give_up_soon()
    made, new = webhooks.register(registry, name, url, secret)
    note(f"{'Registered' if new else 'Changed'} {made.name}: {webhooks.EVENT} to {made.url}.")
    note(webhooks.KEY_ADVICE)
    if no_test:
        return ExitCode.FINE
    tested = webhooks.try_out(registry, made)
    note(f"Test delivery {'arrived' if tested.arrived else 'did not arrive'}: {tested.detail}.")
    return ExitCode.FINE if tested.arrived else ExitCode.FINDINGS


@webhook.command("list", epilog=examples("mlflow-mother webhook list", "mlflow-mother webhook list --format json"))
@format_option
def list_(format_: str) -> None:
    """Lists the MLflow server's webhooks, other people's among them."""
    from dataclasses import asdict

    from mlflow_mother.registry import webhooks
    from mlflow_mother.registry.connection import Registry, give_up_soon

    give_up_soon()
    found = webhooks.webhooks(Registry.current())
    if format_ == "json":
        print_json({"webhooks": [asdict(one) for one in found]})
        return
    rows = [(one.name, "active" if one.active else "disabled", ", ".join(one.events), one.url) for one in found]
    print_table(("name", "state", "events", "url"), rows)


@webhook.command(epilog=examples("mlflow-mother webhook remove", "mlflow-mother webhook remove --name mother-staging"))
@name_option
def remove(name: str) -> None:
    """Removes the webhooks of this name from the MLflow server."""
    from mlflow_mother.errors import RegistryError
    from mlflow_mother.registry import webhooks
    from mlflow_mother.registry.connection import Registry, give_up_soon

    give_up_soon()
    registry = Registry.current()
    found = [one for one in webhooks.webhooks(registry) if one.name == name]
    if not found:
        raise RegistryError(
            f"{registry.address} has no webhook named {name!r}.", "Run `mlflow-mother webhook list` for their names."
        )
    for one in found:
        webhooks.remove(registry, one)
        note(f"Removed {one.name}: {one.url}.")


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        click.ClickException: The address is taken, or none of this machine's.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise click.ClickException(f"Cannot listen at {host}, port {port}: {error.strerror or error}.") from error
