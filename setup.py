"Reads settings.ini, where requirements, description and scripts live, and README.md."

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ini = ConfigParser(delimiters=["="], interpolation=None)
here = Path(__file__).parent
ini.read(here / "settings.ini", encoding="utf-8")
settings = ini["DEFAULT"]
course, onnx, dev = (settings[f"{name}_requirements"].split() for name in ("course", "onnx", "dev"))
# PyPI shows README.md without the files beside it: links and pictures get whole addresses
home = "https://github.com/ddpm-course/ddpm_course"
readme = (here / "README.md").read_text("utf-8")
readme = re.sub(r"\]\((?!https?:|#)", f"]({home}/blob/main/", readme)
readme = re.sub(r'(?<=src=")(?!https?:)', f"{home}/raw/main/", readme)
setup(long_description=readme, long_description_content_type="text/markdown",
      description=settings["description"],
      install_requires=settings["requirements"].split(),
      extras_require={"course": course, "onnx": onnx, "dev": course + onnx + dev},
      entry_points={"console_scripts": settings["console_scripts"].splitlines(),
                    # lets other nbdev projects link to our names
                    "nbdev": ["ddpm_course = ddpm_course.site.links:d"]}) 
