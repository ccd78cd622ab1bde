from dataclasses import replace

import pytest

from assay.attribute import Attribute
from assay.client import AsyncClient, Judgement, Media, Model, NoServer
from assay.errors import BadMedia
from assay.score import Scale, Score
from data import labelling, labels
from data.__main__ import main

CLEAR = Attribute("level_shot", "yes", {"no": 0.1, "yes": 0.9})
BED = Attribute("subject_and_background", text="a bed, in a room")
MEDIA = Media("image", "jpeg", "mjpeg", 8, 8, None, 1, 0, 1, ())
JUDGEMENT = Judgement(
    Score(6.587, 0.4, Scale(0, 10)),
    {"level_shot": CLEAR, "subject_and_background": BED},
    (),
    MEDIA,
    Model("m", "c", "p"),
)


class ScriptedClient:
    """An AsyncClient without a server. Files whose name is in `failures` fail."""

    def __init__(self, failures=None):
        self.asked = []
        self.failures = failures or {}

    def __call__(self, server):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    score_many = AsyncClient.score_many

    async def score(self, source, *, form, **_):
        self.asked.append(source.name)
        if source.name in self.failures:
            raise self.failures[source.name]
        return JUDGEMENT


@pytest.fixture
def client(monkeypatch):
    scripted = ScriptedClient()
    monkeypatch.setattr(labelling, "AsyncClient", scripted)
    return scripted


async def ask(tmp_path, *files):
    return await labelling.label(files, tmp_path, tmp_path / "labels.csv", "")


async def test_every_attribute_and_the_score_get_a_label(client, tmp_path):
    await ask(tmp_path, "a.jpg")
    said = labels.read(tmp_path / "labels.csv")
    assert [(each.item, each.value, each.probability, each.by) for each in said] == [
        ("level_shot", "yes", "0.9000", "model m c p"),
        ("subject_and_background", "a bed, in a room", "", "model m c p"),
        ("score", "6.59", "", "model m c p"),
    ]


async def test_a_file_that_is_labelled_is_not_asked_about_again(client, tmp_path):
    await ask(tmp_path, "a.jpg")
    await ask(tmp_path, "a.jpg", "b.jpg")
    assert client.asked == ["a.jpg", "b.jpg"]


async def test_a_file_that_fails_is_listed_and_the_others_are_labelled(client, tmp_path):
    client.failures = {"a.jpg": BadMedia("no picture")}
    failures = await ask(tmp_path, "a.jpg", "b.jpg")
    held = {each.file for each in labels.read(tmp_path / "labels.csv")}
    assert ([each.reason for each in failures], held) == (["BAD_MEDIA"], {"b.jpg"})


async def test_without_a_server_what_was_labelled_is_held(client, tmp_path):
    await ask(tmp_path, "a.jpg")
    client.failures = {"b.jpg": NoServer("gone")}
    with pytest.raises(NoServer):
        await ask(tmp_path, "b.jpg")
    assert {each.file for each in labels.read(tmp_path / "labels.csv")} == {"a.jpg"}


def test_words_are_no_grades(client):
    said = labelling.labels_of("a.jpg", replace(JUDGEMENT))
    assert labels.grades(said) == {"level_shot": {"a.jpg": "yes"}}


def test_the_command_labels_the_parts_that_it_is_given(client, mini, tmp_path, capsys):
    main(["label", "koniq", "--root", str(mini("koniq")), "--parts", "test", "--out", str(tmp_path / "labels.csv")])
    assert len({each.file for each in labels.read(tmp_path / "labels.csv")}) == 6


def test_the_command_lists_the_files_that_failed(client, mini, tmp_path, capsys):
    client.failures = {"10004473385.jpg": BadMedia("no picture")}
    code = main(["label", "koniq", "--root", str(mini("koniq")), "--out", str(tmp_path / "labels.csv")])
    assert (code, "BAD_MEDIA" in (tmp_path / "labels.failures.csv").read_text()) == (1, True)
