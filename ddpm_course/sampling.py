"Every sampler in one place, on torch alone: `from ddpm_course.sampling import ddim_sample`."

from ddpm_course.ancestral import ddpm_sample, ddpm_steps
from ddpm_course.ddim import ddim_invert, ddim_sample, ddim_steps, slerp, spaced_timesteps

__all__ = ["ddim_invert", "ddim_sample", "ddim_steps", "ddpm_sample", "ddpm_steps", "slerp",
           "spaced_timesteps"]
