"""Subjects: a coarse word for what the ImageNet teacher sees, where it is sure; a plain word otherwise."""

import numpy as np
from numpy.typing import NDArray

UNSURE = " the scene"
_SURE_FROM = 0.6
"""Of the teacher's probabilities, that of a word's classes together. Checked on 48 photos above and 48 below .65:
above, six of seven words are right."""

# ImageNet's 1,000 classes in their usual order, grouped: word -> class numbers and ranges of them (ends included).
_GROUPS = {
    " a fish": "0-6 389-397",
    " a bird": "7-24 80-100 127-146",
    " a reptile": "25-68",
    " an insect": "69-79 300-326",
    " a wild animal": "101-106 147-150 269-280 286-299 330-338 344 348-388",
    " a sea creature": "107-126 327-329 973",
    " a dog": "151-268",
    " a cat": "281-285",
    " a horse": "339-340",
    " a farm animal": "341-343 345-347",
    " a plane": "404 405 417 701 895 908",
    " a boat": "403 472 484 510 554 576 625 628 724 780 814 833 871 914",
    " a car": "407 436 468 475 479 511 555 569 581 609 627 656 661 675 717 734 751 817 864 867",
    " a bus": "654 757 779 874",
    " a train": "466 547 565 705 820 829",
    " a bicycle": "444 612 665 670-671 870 880",
    " a building": (
        "406 410 415 424-425 437 442 448 449 483 497-498 500 538 580 634 660 663 668 698 727 743 762 788 832 853 "
        "858 860 884 900 915"
    ),
    " a monument": "458 562 649 682 708 835 863 873",
    " a bridge": "525 718 821 839 888",
    " a street": "640 704 707 733 877 919-920",
    " a person": (
        "411 433 434 439 445 451-452 456-457 459 465 474 501 515 518 552 560 568 570 578 584 601 608 610 614-615 "
        "617 638-639 643 652 655 658 667 678-679 689 697 715 735 775 793 796 808 824 834 836-837 841-842 869 887 "
        "903 906 981-983"
    ),
    " people": "416 430 645 768 805 819 852 890",
    " food": "415 467 509 521 544 567 582 659 766 809 909 923 924-935 957 959-966",
    " vegetables": "936-947 987-988",
    " fruit": "948-956 989-990 998",
    " a drink": "440-441 503-505 550 572 647 737 849 898-899 901 907 967-969",
    " flowers": "308-309 738 883 984-986",
    " a beach": "460 801 977-978",
    " a lake": "449 536 975-976",
    " mountains": "672 795 970 972 979-980",
    " a waterfall": "974",
    " furniture": (
        "423 431 435 453 493 495 516 520 526 532 548 553 556 559 564 703 721 736 750 765 789 794 799 831 854 857 "
        "861 894 896 904-905"
    ),
    " a lamp": "470 607 619 818 846 862",
    " a screen": "527 590 620 664 681 782 851 916",
}

_COARSE = {
    " an animal": (
        " a fish", " a bird", " a reptile", " an insect", " a wild animal", " a sea creature", " a dog", " a cat",
        " a horse", " a farm animal",
    ),
    " a landscape": (" mountains", " a lake", " a beach", " a waterfall"),
    " a vehicle": (" a car", " a bus", " a train", " a bicycle", " a boat", " a plane"),
    " a building": (" a building", " a monument", " a bridge", " a street"),
    " a room": (" furniture", " a lamp", " a screen"),
    " food": (" food", " vegetables", " fruit", " a drink"),
    " a person": (" a person", " people"),
    " flowers": (" flowers",),
}  # fmt: skip
"""Said where the teacher is sure of these together, and of none of _FINE alone."""
_FINE = (" a dog", " a cat", " a bird", " an insect", " a car")

WORDS = (*_FINE, *_COARSE, UNSURE)


def _classes(numbers: str) -> list[int]:
    spans = [part.split("-") for part in numbers.split()]
    return [number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)]


_CLASSES = {word: _classes(numbers) for word, numbers in _GROUPS.items()}


def subject(logits: NDArray[np.float32]) -> str:
    """The word for one photo, from the teacher's (1000,) logits."""
    scores = np.exp(logits.astype(np.float64) - logits.max())
    scores /= scores.sum()
    mass = {word: float(scores[classes].sum()) for word, classes in _CLASSES.items()}
    sure = {word: mass[word] for word in _FINE} | {
        word: sum(mass[part] for part in parts) for word, parts in _COARSE.items()
    }
    # A fine word before the coarse one that holds it.
    return next((word for word in sure if sure[word] >= _SURE_FROM), UNSURE)
