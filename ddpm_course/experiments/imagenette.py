"The latent recipe that one core trains in an hour and a half, on ten classes of ImageNet."

from ..ddpm import DDPMLoss
from ..noising import cosine_schedule
from .plans import DataSet, Evaluation, Latents, Part, Scale, TrainingPlan, samplers
from .small import net
from .training_runs import own_autoencoder

# 64x64 pixels become 16x16 positions of four numbers
IMAGENETTE_VAE = dict(latent_channels=4, channels=(24, 64, 128), kl_weight=0.005, steps=2_500,
                      batch_size=16, lr=2e-3, ema_halflife=5_000)
IMAGENETTE_LATENTS = Latents(Part(own_autoencoder, IMAGENETTE_VAE), flip=True, factor=4)
IMAGENETTE_UNET = dict(channels=(64, 128, 128), layers=1, attention=(False, True, True), groups=16,
                       num_classes=10, predicts="v")
IMAGENETTE_FIT = dict(steps=2_600, batch_size=64, lr=1e-3, warmup=200, ema_halflife=20_000)
IMAGENETTE_PLAN = TrainingPlan(
    DataSet("imagenette", 64, flip=True), net(**IMAGENETTE_UNET), Part(cosine_schedule),
    IMAGENETTE_FIT, Part(DDPMLoss, {"drop": 0.1}), IMAGENETTE_LATENTS)
IMAGENETTE_SCALE = Scale({"imagenette": IMAGENETTE_PLAN}, samplers("DDIM", [25], (1.0, 3.0)),
                         (Evaluation(1000, "val"),))
