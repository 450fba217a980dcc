"Every sampler in one place, on torch alone: `from ddpm_course.sampling import ddim_sample`."

from ddpm_course.ancestral import ddpm_sample, ddpm_steps
from ddpm_course.ddim import ddim_invert, ddim_sample, ddim_steps, slerp, spaced_timesteps
from ddpm_course.denoisers import as_eps
from ddpm_course.solvers import (
    Churn, as_denoiser, dpmpp_2m_sample, dpmpp_2m_steps, euler_ancestral_sample,
    euler_ancestral_steps, euler_sample, euler_steps, heun_sample, heun_steps, karras_sigmas)

__all__ = ["Churn", "as_denoiser", "as_eps", "ddim_invert", "ddim_sample", "ddim_steps",
           "ddpm_sample", "ddpm_steps", "dpmpp_2m_sample", "dpmpp_2m_steps",
           "euler_ancestral_sample", "euler_ancestral_steps", "euler_sample", "euler_steps",
           "heun_sample", "heun_steps", "karras_sigmas", "slerp", "spaced_timesteps"]
