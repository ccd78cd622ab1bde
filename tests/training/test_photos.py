"""Which photos are held out depends on the file's name alone."""

from training.photos import is_held_out


def test_a_tenth_of_the_rated_photos_is_held_out() -> None:
    held = sum(is_held_out(f"para/iaa_pub{number}_.webp", "rated") for number in range(5000))
    assert 400 < held < 600


def test_the_folder_does_not_matter() -> None:
    names = [f"iaa_pub{number}_.webp" for number in range(100)]
    assert [is_held_out(name, "rated") for name in names] == [is_held_out(f"x/y/{name}", "rated") for name in names]
