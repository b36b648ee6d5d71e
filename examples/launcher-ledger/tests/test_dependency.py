"""The ledger needs Kestra, of another plugin: who starts the one starts the other first, who stops that stops this."""


def test_kestra_comes_first_and_takes_the_ledger_along(temporary_installation):
    launcher = temporary_installation.launcher()
    order = launcher.graph.with_needs(["ledger"])
    assert order.index("kestra-orchestrator") < order.index("ledger")
    assert "ledger" in launcher.graph.with_dependants(["kestra-postgres"])
    assert launcher.entries["kestra-orchestrator"].plugin == "kestra"
