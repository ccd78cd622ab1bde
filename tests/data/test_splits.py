import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data import near, splits
from data.__main__ import main
from data.rated import load
from data.splits import check


@pytest.fixture
def koniq(mini, tmp_path):
    root = shutil.copytree(mini("koniq"), tmp_path / "koniq")
    return load("koniq", root)


def test_a_miniature_is_not_taken_for_the_whole_set(koniq):
    assert "train has 10 files, 7058 are published" in check(koniq, False).complaints


def test_nothing_of_a_miniature_stands_on_both_sides(koniq):
    assert check(koniq, True).leaks == []


def test_a_file_in_two_parts_is_a_leak(koniq):
    report = check(replace(koniq, test=(*koniq.test, koniq.train[0])), False)
    assert [leak.kind for leak in report.leaks] == ["path"]


def test_the_same_bytes_under_another_name_are_a_leak(koniq):
    shutil.copy(koniq.train[0].path, koniq.test[0].path)
    assert "bytes" in {leak.kind for leak in check(koniq, True).leaks}


def test_a_recompressed_copy_is_a_leak(koniq):
    Image.open(koniq.train[0].path).resize((90, 70)).save(koniq.test[0].path, quality=40)
    leaks = check(koniq, True).leaks
    assert [(leak.kind, leak.file, leak.other_file) for leak in leaks] == [
        ("near", str(koniq.train[0].path), str(koniq.test[0].path))
    ]


def test_names_in_any_order_have_the_same_hash(koniq):
    assert splits.names_hash(koniq.train) == splits.names_hash(koniq.train[::-1])


def test_a_part_with_another_file_differs_from_an_earlier_report(koniq):
    earlier = check(koniq, False).as_json()
    report = check(replace(koniq, test=koniq.test[1:]), False)
    assert splits.differences(report, earlier) == ["test has not the file names that it had"]


def test_videos_are_said_not_to_be_compared(mini):
    assert check(load("konvid", mini("konvid")), True).not_compared == 6


hashes = st.integers(0, 2**64 - 1)


@given(st.lists(hashes, max_size=6), hashes, st.sets(st.integers(0, 63), max_size=3))
def test_all_pairs_within_three_bits_are_found(others, one, flipped):
    twin = one
    for bit in flipped:
        twin ^= 1 << bit
    assert (0, len(others), len(flipped)) in list(near.alike([one], [*others, twin]))


@given(st.lists(hashes, max_size=8), st.lists(hashes, max_size=8), st.integers(0, 3))
def test_no_pair_is_found_that_differs_in_more(some, others, most):
    found = list(near.alike(some, others, most))
    wanted = [(i, j) for i, a in enumerate(some) for j, b in enumerate(others) if (a ^ b).bit_count() <= most]
    assert [(i, j) for i, j, _ in found] == wanted


def test_the_command_fails_on_a_set_that_is_not_whole(mini, capsys):
    assert main(["check", "koniq", "--root", str(mini("koniq"))]) == 1


def test_the_command_says_what_is_missing(tmp_path, capsys):
    main(["check", "koniq", "--root", str(tmp_path)])
    assert "koniq10k_distributions_sets.csv is missing" in capsys.readouterr().err


def test_a_report_can_be_held_against_a_later_copy(mini, tmp_path, capsys):
    main(["check", "koniq", "--root", str(mini("koniq")), "--out", str(tmp_path / "report.json")])
    main(["check", "koniq", "--root", str(mini("koniq")), "--against", str(tmp_path / "report.json")])
    assert "that it had" not in capsys.readouterr().out
