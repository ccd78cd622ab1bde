from tests.assay.engine.conftest import checkpoint, image, make_clip, tiny_directory, two_threads, video

__all__ = ["checkpoint", "image", "make_clip", "tiny_directory", "two_threads", "video"]
