"""The automated checks of the CIS benchmark that read flags and configurations, by their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap.render import tls
from kbootstrap.render.context import Inputs
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.rendered import Rendered, arguments

SPEC = a_cluster()
M1 = Rendered(root=Path(__file__).parents[3] / "templates", spec=SPEC, host=SPEC.host("m1"))
PLUGINS = ("NodeRestriction", "DenyServiceExternalIPs", "EventRateLimit")


def _flags(component: str, unit: str) -> dict[str, str]:
    return arguments(M1.text(f"{component}/{unit}.service.j2", Inputs(unit=f"{unit}.service")))


APISERVER = _flags("apiserver", "kube-apiserver")
ETCD = _flags("etcd", "etcd")
CONTROLLER_MANAGER = _flags("controller-manager", "kube-controller-manager")
SCHEDULER = _flags("scheduler", "kube-scheduler")
KUBELET = _flags("kubelet", "kubelet")


def test_1_2_api_server() -> None:
    assert APISERVER["anonymous-auth"] == "false"
    assert not {"token-auth-file", "disable-admission-plugins", "insecure-port", "service-account-lookup"} & APISERVER.keys()
    assert APISERVER["authorization-mode"].split(",") == ["Node", "RBAC"]
    assert set(APISERVER["enable-admission-plugins"].split(",")) == set(PLUGINS)
    assert (APISERVER["profiling"], APISERVER["service-account-extend-token-expiration"]) == ("false", "false")
    assert int(APISERVER["audit-log-maxage"]) >= 30
    assert int(APISERVER["audit-log-maxbackup"]) >= 10
    assert int(APISERVER["audit-log-maxsize"]) >= 100
    assert set(APISERVER["tls-cipher-suites"].split(",")) == set(tls.SUITES)
    needed = (
        "kubelet-client-certificate kubelet-client-key kubelet-certificate-authority audit-log-path audit-policy-file service-account-key-file "
        "etcd-certfile etcd-keyfile etcd-cafile tls-cert-file tls-private-key-file client-ca-file encryption-provider-config"
    )
    assert not set(needed.split()) - APISERVER.keys()


def test_1_3_controller_manager() -> None:
    assert CONTROLLER_MANAGER["profiling"] == "false"
    assert CONTROLLER_MANAGER["use-service-account-credentials"] == "true"
    assert CONTROLLER_MANAGER["bind-address"] == "127.0.0.1"
    assert {"terminated-pod-gc-threshold", "service-account-private-key-file", "root-ca-file"} <= CONTROLLER_MANAGER.keys()
    assert not [flag for flag in CONTROLLER_MANAGER if flag.startswith("cluster-signing")]


def test_1_4_scheduler() -> None:
    assert (SCHEDULER["profiling"], SCHEDULER["bind-address"]) == ("false", "127.0.0.1")


def test_2_etcd() -> None:
    assert (ETCD["client-cert-auth"], ETCD["peer-client-cert-auth"]) == ("true", "true")
    assert (ETCD["auto-tls"], ETCD["peer-auto-tls"]) == ("false", "false")
    assert {"cert-file", "key-file", "trusted-ca-file", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file"} <= ETCD.keys()


def test_4_2_kubelet() -> None:
    config: dict[str, Any] = yaml.safe_load(M1.text("kubelet/config.yaml.j2"))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authentication"]["x509"] == {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["readOnlyPort"] == 0
    assert config["seccompDefault"] is True
    assert config["podPidsLimit"] > 0
    assert set(config["tlsCipherSuites"]) == set(tls.SUITES)
    assert {"tlsCertFile", "tlsPrivateKeyFile"} <= config.keys()
    assert (
        not {"rotateCertificates", "serverTLSBootstrap", "makeIPTablesUtilChains", "eventRecordQPS", "streamingConnectionIdleTimeout"} & config.keys()
    )
    assert "hostname-override" not in KUBELET


def test_4_3_kube_proxy() -> None:
    config = yaml.safe_load(M1.text("proxy/config.yaml.j2"))
    assert config["metricsBindAddress"].startswith("127.0.0.1:")
    assert "hostnameOverride" not in config


def test_the_api_server_and_its_store_are_named_by_nobody_else() -> None:
    for component, unit in (
        ("endpoint-haproxy", "kb-endpoint"),
        ("endpoint-gateway", "kb-endpoint"),
        ("kubelet", "kubelet"),
        ("proxy", "kube-proxy"),
    ):
        text = M1.text(f"{component}/{unit}.service.j2", Inputs(unit=f"{unit}.service"))
        line = text[text.index("ExecStart=") :].partition("\n[")[0].partition("\nRestart")[0]
        assert "kube-apiserver" not in line
        assert "etcd" not in line


@pytest.mark.parametrize("component", ["apiserver", "controller-manager", "scheduler"])
def test_every_credential_that_a_flag_names_is_loaded_and_every_loaded_one_is_named(component: str) -> None:
    text = M1.text(f"{component}/kube-{component}.service.j2", Inputs(unit=f"kube-{component}.service"))
    loaded = {line.partition("=")[2].partition(":")[0] for line in text.splitlines() if line.startswith("LoadCredential=")}
    named = {value.rpartition("/")[2] for value in arguments(text).values() if value.startswith("${CREDENTIALS_DIRECTORY}/")}
    assert loaded == named
