from launcher_bulletin.plugin import PID_FILE, unit
from service_launcher.testing import PluginContract


class TestContract(PluginContract):
    entry_point = "bulletin"

    def kill(self, entry, launcher):
        with launcher.host(entry.id) as host:
            host.run(["pkill", "--signal", "KILL", "--pidfile", str(host.root / PID_FILE)], seconds=10)
            host.run(unit(host, "--stop", "--oknodo", "--retry", "KILL/5"), seconds=10)  # until it is gone
