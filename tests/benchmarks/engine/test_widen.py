from pathlib import Path

import torch

from assay.engine.model.loading import load_model
from benchmarks.engine.widen import main
from tests.tiny_checkpoint import write_tiny_checkpoint


def test_a_widened_checkpoint_answers_as_it_did_before(tmp_path: Path) -> None:
    plain = write_tiny_checkpoint(tmp_path / "plain")
    layers = load_model(plain).model.config.get_text_config().num_hidden_layers + 2
    main([str(plain), str(tmp_path / "wide"), "--times", "2", "--layers", str(layers)])
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        before, after = (load_model(each).model(input_ids=ids).logits for each in (plain, tmp_path / "wide"))
    assert torch.allclose(before, after, atol=1e-4)
