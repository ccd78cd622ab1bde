"""A photo and a video through every program: client, gateway, decode worker, both services, Triton, engine."""

from pathlib import Path

import pytest

from assay.attribute import KINDS
from assay.errors import BadMedia, InvalidRequest
from tests.media.build import media

pytestmark = pytest.mark.slow

DEMO = Path(__file__).parent.parent.parent / "demo"
PHOTO, VIDEO = DEMO / "photo.jpg", DEMO / "video.mp4"


@pytest.fixture(scope="module")
def photo(client):
    return client.score(PHOTO)


@pytest.fixture(scope="module")
def video(client):
    return client.score(VIDEO)


def test_a_photo_gets_all_ten_attributes(photo):
    assert set(photo.attributes) == set(KINDS)


def test_a_photo_gets_a_score_on_the_scale(photo):
    assert photo.score.scale.minimum <= photo.score.value <= photo.score.scale.maximum


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.is_graded])
def test_the_probabilities_of_an_attribute_sum_to_one(photo, name):
    assert sum(photo.attributes[name].probabilities.values()) == pytest.approx(1.0, abs=1e-6)


def test_the_final_score_is_made_of_the_direct_and_the_reasoned_one(photo):
    window = photo.windows[0]
    low, high = sorted([window.direct_score.value, window.reasoned_score.value])
    assert low - 1e-9 <= photo.score.value <= high + 1e-9


def test_the_same_photo_gets_the_same_digits_again(client, photo):
    again = client.score(PHOTO)
    assert again.windows[0].reasoned_score.written == photo.windows[0].reasoned_score.written
    assert again.score.value == pytest.approx(photo.score.value, abs=1e-4)


def test_the_direct_form_agrees_with_the_early_score(client, photo):
    direct = client.score(PHOTO, form="direct")
    assert direct.score.value == pytest.approx(photo.windows[0].direct_score.value, abs=1e-4)


def test_free_prose_comes_to_a_score_and_grades(client):
    natural = client.score(PHOTO, form="natural")
    assert natural.windows[0].reasoned_score.written
    assert "clarity" in natural.attributes


def test_a_video_has_a_timeline_that_covers_it(video):
    assert len(video.windows) >= 2
    assert video.windows[-1].end_seconds == pytest.approx(video.media.duration_seconds, abs=0.6)


def test_the_damaged_stretch_of_the_demo_video_scores_lower_than_the_rest(video):
    damaged = [w.score.value for w in video.windows if w.start_seconds < 6.2 and w.end_seconds > 3.8]
    rest = [w.score.value for w in video.windows if w.end_seconds <= 3.8 or w.start_seconds >= 6.2]
    assert min(damaged) < min(rest)


@pytest.mark.parametrize("name", ["empty.bin", "random_bytes.jpg", "jpeg_truncated.jpg", "mp4_audio_only.mp4"])
def test_bad_media_is_refused_in_one_sentence(client, name):
    with pytest.raises(BadMedia) as refused:
        client.score(media(name))
    assert "\n" not in refused.value.message


def test_a_good_photo_is_scored_right_after_a_bad_one(client, photo):
    with pytest.raises(BadMedia):
        client.score(media("jpeg_truncated.jpg"))
    assert client.score(PHOTO, form="direct").score.value > 0


def test_an_unknown_attribute_is_refused_with_the_known_ones(client):
    with pytest.raises(InvalidRequest, match="clarity"):
        client.score(PHOTO, attributes=["charm"])
