"""Which events reach the webhook."""

import json

import pytest
from launcher_courier import plugin
from service_launcher import Environment, Event


@pytest.fixture
def posted(monkeypatch):
    found = []
    monkeypatch.setattr(plugin, "_post", lambda address, body: found.append((address, json.loads(body)["what"])))
    return found


def environment(temporary_installation, **values) -> Environment:
    temporary_installation.set(**values)
    return temporary_installation.launcher().environment


def test_a_death_is_posted_and_a_start_is_not(temporary_installation, posted):
    env = environment(temporary_installation, COURIER_WEBHOOK_URL="http://127.0.0.1:9/hook")
    for what in ("operation.started", "container.died", "state.changed"):
        plugin.launcher_event(Event(what=what, service="courier", actor="ana"), env)
    assert posted == [("http://127.0.0.1:9/hook", "container.died")]


def test_without_an_address_nothing_is_posted(temporary_installation, posted):
    env = environment(temporary_installation, OTHER="1")
    plugin.launcher_event(Event(what="container.died", service="courier", actor="ana"), env)
    assert posted == []


def test_the_command_says_what_is_missing(temporary_installation):
    done = temporary_installation.run("courier", "notify", "hello")
    assert done.exit_code == 1
    assert "COURIER_WEBHOOK_URL is not set" in done.output


def test_the_command_posts(temporary_installation, stand_in):
    temporary_installation.set(COURIER_WEBHOOK_URL=stand_in.url)
    done = temporary_installation.run("courier", "notify", "hello")
    assert done.exit_code == 0, done.output
    assert stand_in.requests == ["/"]
