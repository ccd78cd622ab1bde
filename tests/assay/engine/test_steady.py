import torch

from assay.engine.steady import KEYS_STEP, ROWS_STEP, attend, is_steady, padded_rows


def test_products_of_any_number_of_rows_agree_to_the_last_bit_on_this_machine() -> None:
    assert is_steady([torch.empty(96, 64), torch.empty(64, 384)])


def test_rows_are_filled_up_with_zeros() -> None:
    padded = padded_rows(torch.ones(ROWS_STEP + 1, 3))
    assert padded.shape == (2 * ROWS_STEP, 3)
    assert float(padded.sum()) == 3 * (ROWS_STEP + 1)


def test_attention_is_torchs() -> None:
    torch.manual_seed(0)
    q, keys, values = torch.randn(5, 4, 16), torch.randn(2, 40, 16), torch.randn(2, 40, 16)
    mask = torch.zeros(5, 40).masked_fill(torch.rand(5, 40) < 0.5, float("-inf"))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, enable_gqa=True
    )
    torch.testing.assert_close(attend(q, keys, values, mask), expected[0].transpose(0, 1), atol=1e-6, rtol=1e-5)


def test_attention_is_the_same_to_the_last_bit_with_more_room_and_other_rows_beside() -> None:
    torch.manual_seed(0)
    seen, places = 300, 3 * KEYS_STEP
    q, keys, values = torch.randn(40, 4, 64), torch.randn(2, places, 64), torch.randn(2, places, 64)
    mask = torch.full((40, places), float("-inf"))
    mask[:, :seen] = 0.0
    whole = attend(q, keys, values, mask)
    for first, end in ((0, 1), (3, 10), (7, 40)):
        part = attend(q[first:end], keys[:, :KEYS_STEP], values[:, :KEYS_STEP], mask[first:end, :KEYS_STEP])
        assert torch.equal(part, whole[first:end])
