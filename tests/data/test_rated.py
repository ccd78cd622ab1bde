import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from assay.client import is_picture
from assay.score import Scale
from data import curation
from data.published import SETS
from data.rated import held_out, load, normalised
from data.tables import BadDataSet

SIZES = {
    "koniq": (10, 2, 6),
    "spaq": (0, 0, 18),
    "livec": (0, 0, 18),
    "ava": (10, 0, 6),
    "tad66k": (12, 0, 6),
    "konvid": (0, 0, 6),
    "realqa": (12, 0, 6),
}


@pytest.fixture
def copy(mini, tmp_path):
    """Name -> a miniature that a test may damage."""
    return lambda name: shutil.copytree(mini(name), tmp_path / name)


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_the_parts_that_its_authors_made(mini, name):
    read = load(name, mini(name))
    assert (len(read.train), len(read.validation), len(read.test)) == SIZES[name]


@pytest.mark.parametrize("name", SETS)
def test_every_score_has_three_digits(mini, name):
    read = load(name, mini(name))
    assert all(0 <= each.score < 10 and len(f"{each.score:.2f}") == 4 for each in (*read.train, *read.test))


@pytest.mark.parametrize("name", SETS)
def test_only_konvid_holds_videos(mini, name):
    assert {each.is_video for each in load(name, mini(name)).test} == {name == "konvid"}


@pytest.mark.parametrize("name", SETS)
def test_a_file_is_what_it_is_said_to_be(mini, name):
    read = load(name, mini(name))
    assert all(is_picture(each.path.read_bytes()[:16]) != each.is_video for each in (*read.train, *read.test))


def test_a_worse_picture_has_a_lower_mos(mini):
    from PIL import Image, ImageStat

    files = load("spaq", mini("spaq")).test
    light = [ImageStat.Stat(Image.open(each.path).convert("HSV")).mean[1] for each in files]
    assert spearmanr(light, [each.mos for each in files])[0] > 0.3


def test_an_unknown_set_learns_which_are_known(tmp_path):
    with pytest.raises(BadDataSet, match="koniq, spaq, livec, ava, tad66k, konvid, realqa"):
        load("imagenet", tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_an_empty_folder_learns_what_is_missing_and_where_to_get_it(tmp_path, name):
    with pytest.raises(BadDataSet, match=r"is missing; the data set comes from https://"):
        load(name, tmp_path)


def test_a_missing_picture_is_named(copy):
    root = copy("koniq")
    (root / "512x384" / "10004473380.jpg").unlink()
    with pytest.raises(BadDataSet, match=r"10004473380\.jpg is missing, and 0 more of 18"):
        load("koniq", root)


def test_a_picture_that_nobody_has_is_left_out_if_it_is_named_as_absent(copy):
    root = copy("ava")
    (root / "images" / "953601.jpg").unlink()
    (root / "absent.txt").write_text("953601.jpg\n")
    assert load("ava", root).absent == 1


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "complaint"),
    [
        ("koniq", "koniq10k_distributions_sets.csv", ",validation", ",valid", "set is 'valid'"),
        ("koniq", "koniq10k_distributions_sets.csv", ",MOS,", ",mean,", "no column 'MOS'"),
        ("konvid", "KoNViD_1k_mos.csv", "1.4", "good", "not a number"),
        ("konvid", "KoNViD_1k_mos.csv", "1.4", "7.4", "outside the scale"),
        ("tad66k", "labels/merge/test.csv", "image,score", "image,score,theme", "has 2 cells"),
        ("ava", "AVA.txt", " 22 1396\n", " 22\n", "has 14 columns"),
        ("ava", "aesthetics_image_lists/generic_test.jpgl", "953612", "1", "AVA.txt has no image 1"),
        ("ava", "aesthetics_image_lists/generic_test.jpgl", "953612", "953613", "stands 2 times in the test part"),
        ("realqa", "realqa_test.json", "score of this image is", "verdict is", "holds no score"),
    ],
)
def test_a_damaged_table_is_an_error_that_names_the_place(copy, name, file, old, new, complaint):
    root = copy(name)
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))
    with pytest.raises(BadDataSet, match=complaint):
        load(name, root)


def test_the_pictures_that_explained_the_task_are_no_part_of_live_challenge(mini):
    assert not [each for each in load("livec", mini("livec")).test if each.path.name.startswith("t")]


@pytest.mark.parametrize(("mos", "score"), [(1, 0.0), (3, 5.0), (4.9999, 9.99), (5, 9.99)])
def test_the_ends_of_a_scale_become_0_and_9_99(mos, score):
    assert normalised(mos, Scale(1, 5)) == score


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_mos_never_has_a_lower_score(one, other):
    low, high = sorted((one, other))
    assert normalised(low, Scale(0, 100)) <= normalised(high, Scale(0, 100))


def test_a_split_by_name_keeps_every_file_on_one_side(mini):
    whole = load("spaq", mini("spaq"))
    split = held_out(whole, 0.4)
    assert sorted((*split.train, *split.test), key=lambda each: each.path) == list(whole.test)


def test_a_published_split_is_not_replaced(mini):
    with pytest.raises(ValueError, match="koniq has a published split"):
        held_out(load("koniq", mini("koniq")))


@pytest.mark.parametrize("name", ["koniq", "spaq"])
def test_made_up_pictures_have_no_subtitles(mini, name):
    files = load(name, mini(name)).test
    assert not [each.path for each in files if "subtitle" in curation.look(each.path).flags]
