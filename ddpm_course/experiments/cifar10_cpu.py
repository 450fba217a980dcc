"The recipe that trains CIFAR-10 on a CPU in an evening, as a size of the conditional experiment."

from ..cifar import CIFAR_FIT, CIFAR_UNET
from ..ddpm import DDPMLoss
from ..folded import FoldedUNet
from ..noising import cosine_schedule
from .plans import DataSet, Evaluation, Part, Scale, TrainingPlan, samplers

CPU_FIT = {k: v for k, v in CIFAR_FIT.items() if k != "device"} | {"steps": 10_000}
CPU_PLAN = TrainingPlan(DataSet("cifar10", flip=True), Part(FoldedUNet, CIFAR_UNET),
                        Part(cosine_schedule), CPU_FIT, Part(DDPMLoss, {"drop": 0.1}))
CPU_SCALE = Scale({"folded": CPU_PLAN}, samplers("DDIM", [50], (1.0, 2.0, 3.0)),
                  (Evaluation(1000, "test"),))
