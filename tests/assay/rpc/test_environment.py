"""assay/rpc/environment.py: what Kubernetes injects next to a Service, and what is a mistake."""

import os

import pytest

from assay.errors import SettingsError
from assay.rpc.environment import set_for_children, show_gpus
from assay.rpc.settings import load
from services.scoring.settings import ScoringSettings
from triton_server.settings import TritonServerSettings

# As a pod's environment has them next to Services `scoring` and `scoring-blue` with a port named grpc.
INJECTED = {
    "SCORING_SERVICE_HOST": "10.96.0.7",
    "SCORING_SERVICE_PORT": "50053",
    "SCORING_SERVICE_PORT_GRPC": "50053",
    "SCORING_PORT": "tcp://10.96.0.7:50053",
    "SCORING_PORT_50053_TCP": "tcp://10.96.0.7:50053",
    "SCORING_PORT_50053_TCP_PROTO": "tcp",
    "SCORING_PORT_50053_TCP_PORT": "50053",
    "SCORING_PORT_50053_TCP_ADDR": "10.96.0.7",
    "SCORING_BLUE_PORT": "tcp://10.96.0.8:50053",
    "SCORING_BLUE_SERVICE_HOST": "10.96.0.8",
}


@pytest.fixture
def setting(monkeypatch):
    def put(**variables: str) -> ScoringSettings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load(ScoringSettings)

    return put


def test_what_kubernetes_injects_is_passed_over(setting):
    assert setting(**INJECTED, SCORING_MAX_IN_FLIGHT="3").max_in_flight == 3


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SCORING_PROT", "tcp://10.96.0.7:50053"),
        ("SCORING_PORT", "grpc"),
        ("SCORING_PORTS", "50053"),
        ("SCORING_SERVICE_PORT", "grpc"),
        ("SCORING_SERVICE_HOSTS", "10.96.0.7"),
        ("SCORING_PORT_GRPC_TCP", "tcp://10.96.0.7:50053"),
        ("SCORING_PORT_50053_HTTP", "tcp://10.96.0.7:50053"),
        ("SCORING_PORT_50053_TCP_NAME", "grpc"),
        ("SCORING_ADDR", "10.96.0.7"),
    ],
)
def test_what_only_looks_like_it_is_refused(setting, variable, value):
    with pytest.raises(SettingsError, match=f"{variable} is no setting; the closest is SCORING_"):
        setting(**{variable: value})


def test_a_real_setting_of_such_a_name_wins(monkeypatch):
    monkeypatch.setenv("TRITON_SERVER_GRPC_PORT", "50051")
    assert load(TritonServerSettings).grpc_port == 50051
    monkeypatch.setenv("TRITON_SERVER_GRPC_PORT", "tcp://10.96.0.7:50051")
    with pytest.raises(SettingsError, match="TRITON_SERVER_GRPC_PORT is 'tcp:"):
        load(TritonServerSettings)


def test_a_setting_is_read_from_a_file(setting, tmp_path):
    (tmp_path / "secret").write_text("7\n")
    assert setting(SCORING_MAX_IN_FLIGHT_FILE=str(tmp_path / "secret")).max_in_flight == 7


def test_what_a_file_holds_is_not_reported(setting, tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    with pytest.raises(
        SettingsError, match="what SCORING_MAX_IN_FLIGHT_FILE holds is refused; allowed is a whole"
    ) as no:
        setting(SCORING_MAX_IN_FLIGHT_FILE=str(tmp_path / "secret"))
    assert "hunter2" not in no.value.message


def test_a_file_that_is_not_there_is_named(setting):
    with pytest.raises(SettingsError, match="SCORING_TRITON_FILE names '/nowhere', which cannot be read: No such file"):
        setting(SCORING_TRITON_FILE="/nowhere")


def test_a_setting_and_its_file_together_are_a_mistake(setting, tmp_path):
    (tmp_path / "file").write_text("7")
    with pytest.raises(SettingsError, match="SCORING_MAX_IN_FLIGHT is set twice"):
        setting(SCORING_MAX_IN_FLIGHT="3", SCORING_MAX_IN_FLIGHT_FILE=str(tmp_path / "file"))


def test_a_file_for_no_setting_is_refused(setting):
    with pytest.raises(SettingsError, match="SCORING_PROT_FILE is no setting"):
        setting(SCORING_PROT_FILE="/nowhere")


def test_a_misspelt_prefix_is_refused(setting):
    with pytest.raises(SettingsError, match="SCORNG_TRITON is no setting; is SCORING_TRITON meant"):
        setting(SCORNG_TRITON="127.0.0.1:1")


def test_a_variable_of_another_program_is_none_of_ours(setting):
    assert setting(GATEWAY_ADDRESS="x", TRITON_SERVER_TLS_KEY="y", MY_TRITON="z").triton == "127.0.0.1:8001"


@pytest.mark.parametrize(("visible", "shown"), [("", "0,2"), ("4,GPU-b,6", "4,6")])
def test_gpus_are_shown_to_a_process_by_the_names_that_they_have_outside(
    monkeypatch: pytest.MonkeyPatch, visible: str, shown: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    show_gpus(["0", "2"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == shown


def test_what_is_set_for_children_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/before")
    monkeypatch.delenv("ASSAY_UNSET", raising=False)
    with set_for_children({"TMPDIR": "/meanwhile", "ASSAY_UNSET": "1"}):
        assert (os.environ["TMPDIR"], os.environ["ASSAY_UNSET"]) == ("/meanwhile", "1")
    assert (os.environ["TMPDIR"], "ASSAY_UNSET" in os.environ) == ("/before", False)
