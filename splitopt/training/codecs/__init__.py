"""Smashed data and gradients in fewer bits: what of a tensor travels over a cut."""

from splitopt.training.codecs.base import Codec as Codec
from splitopt.training.codecs.registry import CODECS as CODECS
from splitopt.training.codecs.registry import codec_names as codec_names
from splitopt.training.codecs.registry import make_codec as make_codec
