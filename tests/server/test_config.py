from pathlib import Path
from typing import Any

import pytest

from server.config import ConfigError, ServeSettings
from server.lifecycle.wanted import VersionPolicy


def test_the_defaults_are_settings_that_can_be_served_with() -> None:
    settings = ServeSettings()
    assert (settings.host, settings.grpc_port, settings.metrics_port) == ("127.0.0.1", 8001, 8002)
    assert settings.batch_limits.max_queue_delay == 0


def test_units_are_turned_into_seconds_once() -> None:
    assert ServeSettings(max_queue_delay_ms=2.5).batch_limits.max_queue_delay == 0.0025
    assert ServeSettings(poll_interval_secs=3).watch_options.poll_interval == 3


def test_every_wrong_setting_is_named_with_its_value_and_rule_in_one_message() -> None:
    with pytest.raises(ConfigError) as caught:
        ServeSettings(grpc_port=70_000, max_batch_size=-1, log_level="loud")
    assert str(caught.value) == (
        "--grpc-port is 70000; a port is 0 to 65535; "
        "--log-level is 'loud'; it must be one of debug, info, warning, error; "
        "--max-batch-size is -1; it must be 0 or more"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metrics_port": 8001}, "--metrics-port is 8001; it must differ from --grpc-port"),
        ({"metrics_port": -1}, "--metrics-port is -1; a port is 0 to 65535"),
        ({"max_queue_delay_ms": -1}, "--max-queue-delay-ms is -1; it must be 0 or more"),
        (
            {"max_queue_size": 8},
            "--max-queue-size is 8; it must hold a request, --max-request-rows is 1024, and a batch",
        ),
        ({"threads": -1}, "--threads is -1; it must be 0 or more"),
        (
            {"allowed_batch_sizes": "4,1"},
            "--allowed-batch-sizes is '4,1'; they are numbers above 0, larger and larger",
        ),
        (
            {"allowed_batch_sizes": "1,4", "max_batch_size": 8},
            "--allowed-batch-sizes is '1,4'; --max-batch-size says too what the most is: leave one out",
        ),
        ({"try_tensorflow": True}, "--try-tensorflow is True; it needs --runtime auto"),
        ({"device_memory_fraction": 1.5}, "--device-memory-fraction is 1.5; it must be 0 to 1"),
        ({"logical_devices": 0}, "--logical-devices is 0; it must be above 0"),
        ({"max_message_bytes": 10}, "--max-message-bytes is 10; it must be 1024 or more"),
        ({"default_deadline_secs": 0}, "--default-deadline-secs is 0; it must be above 0"),
        ({"poll_interval_secs": 0}, "--poll-interval-secs is 0; it must be above 0"),
        ({"drain_delay_secs": -1}, "--drain-delay-secs is -1; it must be 0 or more"),
        ({"drain_timeout_secs": -1}, "--drain-timeout-secs is -1; it must be 0 or more"),
        ({"keep_latest": 0}, "--keep-latest is 0; it must be above 0"),
        ({"max_in_flight": 0}, "--max-in-flight is 0; it must be above 0"),
        (
            {"max_in_flight_bytes": 2**20},
            "--max-in-flight-bytes is 1048576; it must hold one message, --max-message-bytes is 67108864",
        ),
        ({"max_streams": 0}, "--max-streams is 0; it must be above 0"),
        ({"max_metadata_bytes": 10}, "--max-metadata-bytes is 10; it must be 1024 or more"),
        ({"max_connection_age_secs": 0}, "--max-connection-age-secs is 0; it must be 1 or more"),
        ({"keepalive_secs": 0}, "--keepalive-secs is 0; it must be 1 or more"),
        ({"tls_cert": Path("a.pem")}, "--tls-cert is a.pem; it needs --tls-key"),
        ({"tls_key": Path("a.key")}, "--tls-key is a.key; it needs --tls-cert"),
        ({"tls_client_ca": Path("ca.pem")}, "--tls-client-ca is ca.pem; it needs --tls-cert and --tls-key"),
    ],
)
def test_a_setting_that_cannot_be_served_with_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServeSettings(**wrong)
    assert str(caught.value) == said


def test_two_free_ports_may_both_be_asked_for() -> None:
    assert ServeSettings(grpc_port=0, metrics_port=0).metrics_port == 0


def test_callers_may_control_only_what_this_machine_alone_can_reach() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert ServeSettings(host=host, enable_control=True).enable_control
    for host in ("0.0.0.0", "::", "example.org"):  # noqa: S104 - refused
        with pytest.raises(ConfigError, match=f"--host must be of this machine, not {host}"):
            ServeSettings(host=host, enable_control=True)


def test_data_to_refit_on_has_names() -> None:
    settings = ServeSettings(enable_control=True, refit_data=("march=/data/a=b.npz", "april=april.npz"))
    assert settings.refit_paths == {"march": Path("/data/a=b.npz"), "april": Path("april.npz").absolute()}


@pytest.mark.parametrize("data", [("march",), ("=x",), ("march=",), ("march=a", "march=b")])
def test_data_without_a_name_of_its_own_is_refused(data: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="each is NAME=PATH, with a name of its own"):
        ServeSettings(enable_control=True, refit_data=data)


def test_data_that_nobody_can_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="nobody can name it without --enable-control"):
        ServeSettings(refit_data=("march=march.npz",))


@pytest.mark.parametrize(
    ("settings", "exposures"),
    [
        ({}, []),
        ({"host": "::1"}, []),
        ({"host": "0.0.0.0"}, ["without TLS", "whoever reaches it"]),  # noqa: S104 - that is the point
        ({"host": "example.org", "auth_token_file": Path("tokens")}, ["without TLS"]),
        ({"host": "10.0.0.1", "tls_cert": Path("a"), "tls_key": Path("b")}, ["whoever reaches it"]),
        (
            {"host": "10.0.0.1", "tls_cert": Path("a"), "tls_key": Path("b"), "tls_client_ca": Path("c")},
            [],
        ),
    ],
)
def test_what_other_machines_could_do_is_said(settings: dict[str, Any], exposures: list[str]) -> None:
    said = ServeSettings(**settings).exposures
    assert [text.startswith(start) for text, start in zip(said, exposures, strict=True)] == [True] * len(said)


def test_callers_of_other_machines_may_control_only_with_tokens() -> None:
    assert ServeSettings(host="10.0.0.1", enable_control=True, auth_token_file=Path("tokens")).enable_control
    with pytest.raises(ConfigError, match="without --auth-token-file --host must be of this machine"):
        ServeSettings(host="10.0.0.1", enable_control=True)


def test_which_versions_to_serve_is_said_for_one_ensemble_or_for_the_others() -> None:
    settings = ServeSettings(model_version=("stable", "digits=latest", "digits=3"), keep_latest=2)
    assert settings.version_policy == VersionPolicy({"": ("stable",), "digits": ("latest", "3")}, 2)


@pytest.mark.parametrize("what", ["0", "digits=", "digits=-1", "digits=1.5", ""])
def test_what_can_be_no_version_is_refused(what: str) -> None:
    with pytest.raises(ConfigError, match="each is NAME=WHAT or WHAT: a number from 1, a label, or latest"):
        ServeSettings(model_version=(what,))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": 0}, "--workers is 0; it must be 1 to 256"),
        ({"transport": "envoy", "runtime": "openvino"}, "--runtime is 'openvino'; --transport envoy runs"),
    ],
)
def test_what_envoy_and_workers_can_not_do_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ServeSettings(**options)
    assert says in str(refused.value)
