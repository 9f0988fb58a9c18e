"""Mistral's document OCR, charged by pages. Documentation: docs.mistral.ai/api/endpoint/ocr."""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form


def is_ocr(block: Block, context: Context) -> bool:
    return block.get("pages_processed") is not None


def read_ocr(block: CountBlock, context: Context) -> Usage:
    """Read the pages."""
    block.drop("doc_size_bytes")
    return Usage((), quantities={"pages": block.take("pages_processed")})


FORM = Form("mistral_ocr", is_ocr, read_ocr, frozenset(("pages_processed",)))
