"""training/recipe/scored.py: a scripted model asked in the forms of realqa-7b."""

from pathlib import Path

from assay.checkpoint import read_checkpoint
from data.labels import Label
from tests.scripted_generator import ScriptedGenerator
from tests.training.recipe.conftest import Set, settings
from training.recipe.example import stage1_question
from training.recipe.scoring import Asked, Asker, with_decimals

REALQA = read_checkpoint(Path("checkpoints/realqa-7b"))


async def labels_of(pictures: Set, asked: Asked, generator: ScriptedGenerator, digits: int = 3) -> dict[str, Label]:
    asker = Asker(generator, with_decimals(REALQA, digits), settings().pictures, asked)
    return {label.item: label for label in await asker.labels(pictures.paths[0], "0.png", "model scripted a b")}


async def test_a_direct_question_gives_a_score_alone(pictures: Set) -> None:
    said = await labels_of(pictures, "direct", ScriptedGenerator(direct="6.59"))
    assert [(label.item, label.value, label.scale) for label in said.values()] == [("score", "6.5900", "0..10")]


async def test_the_regular_form_gives_every_grade_and_the_score_after_it(pictures: Set) -> None:
    said = await labels_of(pictures, "regular", ScriptedGenerator(choices={"composition": " 7"}, direct="5.04"))
    assert len(said) == 11
    assert (said["composition"].value, said["score"].value) == ("7", "5.0400")


async def test_stage_1_is_asked_for_attributes_by_the_question_of_mix(pictures: Set) -> None:
    generator = ScriptedGenerator(texts={"subject": " a dog", "background": " a lawn"})
    said = await labels_of(pictures, "attributes", generator)
    assert generator.asked[0].question == stage1_question("mix")
    assert "score" not in said
    assert said["subject_and_background"].value == "a dog; a lawn"


async def test_a_model_of_one_digit_is_asked_for_one(pictures: Set) -> None:
    said = await labels_of(pictures, "direct", ScriptedGenerator(direct="6"), digits=1)
    assert said["score"].value == "6.0000"
