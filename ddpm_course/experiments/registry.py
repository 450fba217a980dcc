"The tables of the course by name."

from .advanced import ADVANCED
from .attention import ATTENTION
from .dynamics import DYNAMICS
from .edm import EDM
from .edm_samplers import EDM_SAMPLERS
from .guidance import GUIDANCE
from .latent import LATENT
from .question_2 import QUESTION_2
from .question_3 import QUESTION_3
from .schedules import SCHEDULES
from .steps import STEPS

TABLES = {table.name: table for table in
          (STEPS, DYNAMICS, SCHEDULES, LATENT, GUIDANCE, QUESTION_2, QUESTION_3,
           ATTENTION, ADVANCED, EDM_SAMPLERS, EDM)}


def run_table(name: str, out, size: str="digits", workers: int=2):
    "Fill the table of this name; its rows, seeds averaged."
    if name not in TABLES: raise ValueError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name].run(out, size, workers)
