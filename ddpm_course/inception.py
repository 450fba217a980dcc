"The network that FID is defined by."

import hashlib
from pathlib import Path

import torch
from torch import nn

from .images import to_uint8

WEIGHTS_FILE = "weights-inception-2015-12-05-6726825d.pth"
WEIGHTS_SHA256 = "6726825d" # the hash begins so, and is part of the name
WEIGHTS_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{WEIGHTS_FILE}"
HOW = (f"fetch {WEIGHTS_URL} yourself (its SHA-256 begins with {WEIGHTS_SHA256}), "
       "and put it there or pass its path")


def _download(path):
    "Fill `path` from the network, or say in the error how to do it by hand."
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            WEIGHTS_URL, str(path), hash_prefix=WEIGHTS_SHA256, progress=False)
    except Exception as e:
        raise OSError(f"the Inception weights could not be downloaded to {path} "
                      f"({type(e).__name__}: {e}); {HOW}") from e


def inception_weights(file=None): # path; None: torch's cache, filled from the network
    "The path of the 2015 Inception weights, checked by SHA-256."
    cached = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE
    path = cached if file is None else Path(file).expanduser()
    if file is None and not path.exists(): _download(path)
    if not path.exists(): raise FileNotFoundError(f"no Inception weights at {path}; {HOW}")
    with open(path, "rb") as f: digest = hashlib.file_digest(f, "sha256").hexdigest()
    if not digest.startswith(WEIGHTS_SHA256):
        raise ValueError(f"{path} is not the 2015 Inception network (SHA-256 {digest[:8]}...), "
                         f"or is cut short; {HOW}")
    return path


class Inception(nn.Module):
    """The network that FID is defined by (Szegedy et al. 2016; Heusel et al. 2017).

    2,048 features and 1,008 logits of images that are first rounded to uint8.
    """
    name = "inception-2015"

    def __init__(self, weights=None): # path of the weights file; downloaded if None
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        self.net = FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=str(inception_weights(weights)))
        self.eval()

    def features(self, x): # float (B, 1 or 3, H, W) in [-1, 1]
        return self.net(to_uint8(x).expand(-1, 3, -1, -1))[0] # (B, 2048)

    def head(self, features):
        return features @ self.net.fc.weight.T # (B, 1008); without the bias, as in the original
