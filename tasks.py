"""``./inv``: the tasks of kbootstrap, and the four of its developers."""

from __future__ import annotations

import sys

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.tasks import collection
from kbootstrap.tasks._program import CommandLine

PYTHON = f"{sys.executable} -m"


@task(auto_shortflags=False)
def lint(context: Context) -> None:
    """ruff: rules and format."""
    context.run(f"{PYTHON} ruff check . && {PYTHON} ruff format --check .")


@task(auto_shortflags=False)
def types(context: Context) -> None:
    """mypy, strict."""
    context.run(f"{PYTHON} mypy")


@task(auto_shortflags=False, help={"long": "every lab case, without a time limit; goes on where it stopped", "no_lab": "leave the lab out"})
def test(_: Context, long: bool = False, no_lab: bool = False) -> None:
    """Everything that CI runs: lint, types, unit, cases, golden, local and lab tests."""
    from tests import suite  # noqa: PLC0415  --list stays quick

    raise Exit(code=suite.run(long=long, lab=not no_lab))


@task(
    auto_shortflags=False,
    help={
        "hosts": "how many, on loopback",
        "rounds": "of everybody, interleaved and shuffled",
        "peers": "who is compared (ansible,mitogen,pyinfra,fabric,openssh,batch); kbootstrap always is",
        "works": "which (W1,W2,W3,W4,W5)",
        "seed": "the order of an earlier run",
        "scale": "numbers of hosts (10,100,1000): how CPU seconds and memory grow with them, instead of the works",
        "short": "what CI looks at: counts and ratios of CPU seconds, no peers",
        "clusters": "whole clusters instead: cluster.up, kubeadm by an expert's script, and the floor, on bare lab hosts (3+2)",
    },
)
def bench(
    _: Context, hosts: int = 10, rounds: int = 5, peers: str = "ansible,mitogen,pyinfra,fabric,openssh,batch", works: str = "W1,W2,W3,W4,W5",
    seed: int = -1, scale: str = "", short: bool = False, clusters: bool = False,
) -> None:  # fmt: skip
    """Measure kbootstrap beside its peers: the same work on the same loopback hosts. Needs root; results in bench/results/."""
    from bench import driver  # noqa: PLC0415  --list stays quick

    if clusters:
        from bench.clusters import race  # noqa: PLC0415

        raise Exit(code=race.run(rounds=rounds, seed=seed if seed >= 0 else None))
    raise Exit(code=driver.asked(hosts=hosts, rounds=rounds, peers=peers, works=works, seed=seed, scale=scale, short=short))


namespace = collection()
for each in (bench, lint, types, test):
    namespace.add_task(each)

if __name__ == "__main__":  # ./inv; `invoke` takes the namespace alone
    CommandLine(namespace).run()
