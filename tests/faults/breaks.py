"""For each row of the campaign a change of the code that must turn it red; `break_trial.py` tries them all."""

from __future__ import annotations

from dataclasses import dataclass

HOST, KESTRA = "host/service_launcher/", "launcher_kestra/"


@dataclass(frozen=True)
class Change:
    """A piece of a file, and what stands there instead; every occurrence is replaced."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Break:
    """A fault of the launcher's own: the sentence that it makes false, how it comes in, and the rows that notice it."""

    what: str
    changes: tuple[Change, ...]
    rows: tuple[str, ...]


BREAKS = (
    Break(
        "nobody is ever missed",
        (Change(HOST + "recovery.py", "DOWN = (ServiceState.STOPPED, ServiceState.FAILED)", "DOWN = ()"),),
        ("engine crashed under a watch",),
    ),
    Break(
        "what the kernel tells of an end is not heard",
        (Change(HOST + "container_state.py", "            if detail.process_ended:\n", "            if False:\n"),),
        ("end not told",),
    ),
    Break(
        "what is unknown is painted green",
        (
            Change(
                HOST + "observation.py",
                "        status = self._status(service, view)\n",
                '        status = self._status(service, view)\n        if status.state is ServiceState.UNKNOWN:\n            self.took[service] = 0.0\n            return status.model_copy(update={"state": ServiceState.READY})\n',
            ),
        ),
        (
            "engine frozen",
            "engine too slow",
            "engine answers garbage",
            "engine cut off",
            "engine of another API",
            "plugin hangs in status",
        ),
    ),
    Break(
        "a start gives up when the Engine goes away",
        (Change(HOST + "operation.py", "ENGINE_SECONDS = 60.0", "ENGINE_SECONDS = 0.0"),),
        ("engine restarted in mid-start",),
    ),
    Break(
        "a silent Engine is exit code 1",
        (Change(HOST + "errors.py", "exit_code = 5", "exit_code = 1"),),
        ("engine down",),
    ),
    Break(
        "a stream that ends is the end",
        (
            Change(
                HOST + "operation.py",
                "with contextlib.suppress(EventStreamEnded), self.engine.watch() as changes:",
                "with self.engine.watch() as changes:",
            ),
            Change(HOST + "operation.py", "ENGINE_SECONDS = 60.0", "ENGINE_SECONDS = 0.0"),
        ),
        ("event stream dropped",),
    ),
    Break(
        "a start gives up at the first unknown state",
        (
            Change(
                HOST + "operation.py",
                "                if wait.over(status):\n",
                '                if status.state is ServiceState.UNKNOWN:\n                    raise LauncherError("gave up")\n                if wait.over(status):\n',
            ),
        ),
        ("engine frozen in mid-start",),
    ),
    Break(
        "a read may take 0.2 s",
        (Change(HOST + "engine.py", "READ_SECONDS = 2.0", "READ_SECONDS = 0.2"),),
        ("engine slow",),
    ),
    Break(
        "whoever was asked to end has failed",
        (
            Change(HOST + "container_state.py", "ON_REQUEST = (0, 130, 143)", "ON_REQUEST = (0,)"),
            Change(HOST + "container_state.py", " or (detail.exit_code == KILLED and not detail.oom_killed)", ""),
        ),
        (
            "engine crashed",
            "engine crashed under kestra",
        ),
    ),
    Break(
        "nothing is pulled",
        (
            Change(
                HOST + "context.py",
                "        pullable = can_be_pulled(image, policy)\n",
                "        return\n        pullable = can_be_pulled(image, policy)\n",
            ),
        ),
        (
            "registry unreachable",
            "registry lies",
            "registry cuts off",
            "registry stalls",
        ),
    ),
    Break(
        "whether an image is here is not looked at",
        (
            Change(
                HOST + "compose_service.py",
                'if not can_be_pulled(image, service.get("pull_policy")) and host.engine.image(image) is None:',
                "if False:",
            ),
        ),
        ("image missing",),
    ),
    Break(
        "the disks of data are not looked at",
        (
            Change(
                HOST + "disks.py",
                "if os.path.isdir(place) and os.stat(place).st_dev not in told:",
                "if False:",
            ),
        ),
        ("disk full under the database",),
    ),
    Break(
        "the major version of the data is not looked at",
        (Change(KESTRA + "database.py", "if wanted and present and wanted != present:", "if False:"),),
        ("another major version",),
    ),
    Break(
        "ports are not looked at",
        (
            Change(
                HOST + "compose_service.py",
                "        port = int(value)\n",
                "        return\n        port = int(value)\n",
            ),
        ),
        ("port taken",),
    ),
    Break(
        "a service that could not be started is told as ready",
        (
            Change(
                HOST + "operation.py",
                '            self._finish(service, "failed", error.summary)\n            self._show(service, "failed", error.summary)\n',
                '            self._finish(service, "ready", error.summary)\n            self._show(service, "failed", error.summary)\n',
            ),
        ),
        (
            "port stolen",
            "volume not writable",
        ),
    ),
    Break(
        "container names are not looked at",
        (
            Change(
                HOST + "compose_service.py",
                "if name and holder.name == name and not ours:",
                "if False:",
            ),
        ),
        ("name taken",),
    ),
    Break(
        "networks are not made",
        (
            Change(
                HOST + "compose_service.py",
                "            compose.create_network(self.value(host, name))\n",
                "            pass\n",
            ),
        ),
        (
            "network deleted",
            "no addresses left",
        ),
    ),
    Break(
        "what is stopped is left so",
        (
            Change(
                HOST + "planner.py",
                "elif states[service] is ServiceState.READY and",
                "elif states[service] in (ServiceState.READY, ServiceState.STOPPED) and",
            ),
        ),
        ("half-created project",),
    ),
    Break(
        "status knows nothing of what is ready",
        (
            Change(
                HOST + "observation.py",
                "        statuses = self.statuses(services, view)\n        took = ",
                '        self.statuses(services, view)\n        statuses = tuple(_unknown(self.graph.entries[service], "nothing") for service in services)\n        took = ',
            ),
        ),
        (
            "firewall flushed",
            "kestra killed",
            "database starved",
            "disk full under running services",
            "200 services started",
        ),
    ),
    Break(
        "the database's loss is not seen, and the API is not asked",
        (
            Change(KESTRA + "plugin.py", "    loss = _database_loss(host, status.since)\n", "    loss = None\n"),
            Change(
                KESTRA + "plugin.py",
                "    ill = answered.evidence.verdict is not Verdict.OK\n",
                "    return status\n    ill = answered.evidence.verdict is not Verdict.OK\n",
            ),
        ),
        (
            "database killed",
            "database killed under kestra",
            "database paused under kestra",
        ),
    ),
    Break(
        "a paused container is ready",
        (
            Change(
                HOST + "container_state.py",
                "    verdict, state, words = _judge_container(detail, last_end)\n",
                '    verdict, state, words = _judge_container(detail, last_end)\n    if detail.state == "paused":\n        return ServiceState.READY, "running", (Evidence(layer="container", verdict=Verdict.OK, detail=""),)\n',
            ),
            Change(HOST + "observation.py", '            if present == "running":\n', "            if True:\n"),
        ),
        ("database paused",),
    ),
    Break(
        "a volume that is gone is made anew",
        (Change(HOST + "places.py", "if source in before.values() and source not in volumes:", "if False:"),),
        ("volume removed",),
    ),
    Break(
        "a wrong password is no failure",
        (
            Change(
                KESTRA + "plugin.py",
                'if status.container == "running" and "password authentication failed" in status.message:',
                "if False:",
            ),
        ),
        ("password changed",),
    ),
    Break(
        "lack of memory is not told",
        (Change(HOST + "container_state.py", 'oom_killed else ""', 'oom_killed and False else ""'),),
        (
            "out of memory",
            "database out of memory",
            "kestra out of memory",
        ),
    ),
    Break(
        "free disk space is not looked at",
        (Change(HOST + "compose_service.py", 'if found.verdict != "pass":', "if False:"),),
        ("disk full for the engine",),
    ),
    Break(
        ".env is written in place",
        (
            Change(
                HOST + "atomic_file.py",
                "        temporary.replace(path)\n",
                "        path.write_text(text)\n        temporary.unlink()\n",
            ),
        ),
        (
            "killed in mid-write",
            "power cut",
        ),
    ),
    Break(
        "a .env that cannot be written is another kind of error",
        (
            Change(
                HOST + "envfile.py",
                '    except OSError as error:\n        raise EnvFileError(f"{path.name} cannot be written',
                '    except KeyError as error:\n        raise EnvFileError(f"{path.name} cannot be written',
            ),
        ),
        ("disk full for .env",),
    ),
    Break(
        "a record that cannot be written ends the operation",
        (
            Change(
                HOST + "events.py",
                "        except OSError as error:\n            self.lost",
                "        except KeyError as error:\n            self.lost",
            ),
        ),
        ("disk full for the record",),
    ),
    Break(
        "values of .env are not checked",
        (Change(HOST + "envfile.py", "if not (_BARE.fullmatch(raw) or _QUOTED.fullmatch(raw)):", "if False:"),),
        ("env file invalid",),
    ),
    Break(
        "what compose refuses is exit code 1",
        (
            Change(
                HOST + "compose.py",
                'raise ConfigurationError(\n                f"docker compose refuses',
                'raise ComposeFailed(\n                f"docker compose refuses',
            ),
        ),
        ("compose file invalid",),
    ),
    Break(
        "what compose refuses is an error of the launcher",
        (
            Change(
                HOST + "compose.py",
                'raise ConfigurationError(\n                f"docker compose refuses',
                'raise RuntimeError(\n                f"docker compose refuses',
            ),
        ),
        ("compose file cut",),
    ),
    Break(
        "a manifest that cannot be read is exit code 1",
        (
            Change(
                HOST + "errors.py", "class ManifestError(ConfigurationError):", "class ManifestError(LauncherError):"
            ),
        ),
        (
            "manifest cut",
            "manifest hostile",
        ),
    ),
    Break(
        "nobody holds a lock",
        (Change(HOST + "lock.py", "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),),
        (
            "two starts at once",
            "ten starts at once",
            "stop during start",
            "start and stop at once",
        ),
    ),
    Break(
        "what was taken down by hand is waited for",
        (
            Change(
                HOST + "waiting.py",
                'ended = status.state is ServiceState.STOPPED and status.layer("container") is Verdict.BAD',
                "ended = False",
            ),
        ),
        ("down by hand during start",),
    ),
    Break(
        "how a container has ended is not told",
        (
            Change(
                HOST + "container_state.py",
                'return Verdict.BAD, ServiceState.STOPPED, f"stopped ({ended})"',
                'return Verdict.BAD, ServiceState.STOPPED, "stopped"',
            ),
        ),
        ("exits 0 for good",),
    ),
    Break(
        "the age of evidence does not matter",
        (Change(HOST + "observation.py", "or _not_fresh(status) or status", "or status"),),
        ("clock wrong",),
    ),
    Break(
        "deadlines go by the wall clock",
        tuple(Change(HOST + file, "time.monotonic()", "time.time()") for file in ("operation.py", "waiting.py")),
        ("clock stepped in mid-start",),
    ),
    Break(
        "an interruption is exit code 1",
        (Change(HOST + "errors.py", "self.exit_code = 128 + signal_number", "self.exit_code = 1"),),
        (
            "launcher interrupted",
            "launcher interrupted in stop",
            "launcher interrupted in a pull",
            "Ctrl-C on a terminal in start",
            "Ctrl-C on a terminal in up",
            "Ctrl-C on a terminal in stop",
            "launcher terminated",
            "plugin hangs in start",
            "plugin hangs in prepare",
        ),
    ),
    Break(
        "an operation that was killed stays open",
        (Change(HOST + "launcher.py", "operation.problems += self._close_the_cut_off(locked)\n", "pass\n"),),
        (
            "launcher killed",
            "launcher killed at 20 moments",
            "launcher killed under kestra",
        ),
    ),
    Break(
        "a crash loop is ready",
        (
            Change(
                HOST + "observation.py",
                "        status = self._status(service, view)\n",
                '        status = self._status(service, view)\n        if "crash loop" in status.message or "restarting" in status.message:\n            self.took[service] = 0.0\n            return status.model_copy(update={"state": ServiceState.READY})\n',
            ),
        ),
        (
            "database damaged",
            "crash loop",
            "crash loop unchecked",
            "slow crash loop",
            "exits 0 at once",
        ),
    ),
    Break(
        "the application is not asked",
        (
            Change(
                KESTRA + "plugin.py",
                "    ill = answered.evidence.verdict is not Verdict.OK\n",
                "    return status\n    ill = answered.evidence.verdict is not Verdict.OK\n",
            ),
        ),
        (
            "API hangs",
            "API answers 500",
            "API answers garbage",
        ),
    ),
    Break(
        "a failing health check is ready",
        (
            Change(
                HOST + "container_state.py",
                'return ServiceState.DEGRADED, f"running, but its health check fails{said}", tuple(evidence)',
                'return ServiceState.READY, "running", ()',
            ),
        ),
        (
            "health says DOWN",
            "health check hangs",
        ),
    ),
    Break(
        "a start does not wait",
        (
            Change(
                HOST + "waiting.py",
                "return self._ready(status) or self.settled(status)",
                "return True or self.settled(status)",
            ),
        ),
        ("becomes ready late",),
    ),
    Break(
        "a health check that has not passed yet is ready",
        (
            Change(
                HOST + "container_state.py",
                'return ServiceState.STARTING, f"running, its health check has not passed yet{said}", tuple(evidence)',
                'return ServiceState.READY, "running", (evidence[0], health(Verdict.OK, "healthy"))',
            ),
        ),
        ("first start interrupted",),
    ),
    Break(
        "a hook that hangs counts as one without an answer",
        (
            Change(
                HOST + "guard.py",
                "    except Empty:\n",
                "    except Empty:\n        return []  # type: ignore[return-value]\n",
            ),
        ),
        (
            "plugin hangs in load",
            "plugin hangs in manifest_entries",
            "plugin hangs in variables",
            "plugin hangs in auto_start",
            "plugin hangs in preflight",
            "plugin hangs in drift",
            "plugin hangs in findings",
            "plugin hangs in causes",
            "plugin hangs in commands",
            "plugin hangs in event",
            "plugin hangs in stop",
        ),
    ),
    Break(
        "log lines are read whole",
        (
            Change(HOST + "logs.py", "rest = rest[:most]", "rest = rest"),
            Change(HOST + "logs.py", "yield line[:most], left_out + max(0, len(line) - most)", "yield line, 0"),
        ),
        ("log flood",),
    ),
    Break(
        "what changes is told to the first who asked only",
        (
            Change(
                HOST + "web/stream.py",
                "        for queue in list(self._subscribers):\n            try:",
                "        for queue in list(self._subscribers)[:1]:\n            try:",
            ),
        ),
        ("200 readers of the page",),
    ),
    Break(
        "a changed configuration is not seen",
        (
            Change(
                HOST + "context.py",
                'return "its configuration has changed since the container was made"',
                "return None",
            ),
        ),
        ("launcher upgraded",),
    ),
    Break(
        "what is still running counts as not stopped",
        (
            Change(
                HOST + "operation.py",
                'if detail is not None and detail.state in ("running", "restarting", "paused"):',
                "if True:",
            ),
        ),
        ("stop ignored",),
    ),
    Break(
        "a record that has lost its folder ends the operation",
        (
            Change(HOST + "events.py", "            self._path.parent.mkdir(mode=0o700, exist_ok=True)\n", ""),
            Change(
                HOST + "events.py",
                "        except OSError as error:\n            self.lost",
                "        except KeyError as error:\n            self.lost",
            ),
        ),
        ("state folder deleted",),
    ),
    Break(
        "a lock that cannot be made counts as held",
        (
            Change(
                HOST + "lock.py",
                'raise ConfigurationError(\n            f"the lock {path} cannot be used',
                'raise Busy(\n            f"the lock {path} cannot be used',
            ),
        ),
        ("state folder read-only",),
    ),
    Break(
        "reading takes 50 ms for each service",
        (
            Change(
                HOST + "observation.py",
                "if len(services) < 2:",
                "import time; time.sleep(0.05 * len(services))\n        if len(services) < 2:",
            ),
        ),
        ("200 services",),
    ),
)
