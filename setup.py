"Reads settings.ini, and nothing else: requirements, description and scripts live there."

from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ini = ConfigParser(delimiters=["="], interpolation=None)
ini.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
settings = ini["DEFAULT"]
course, onnx, dev = (settings[f"{name}_requirements"].split() for name in ("course", "onnx", "dev"))
setup(description=settings["description"], install_requires=settings["requirements"].split(),
      extras_require={"course": course, "onnx": onnx, "dev": course + onnx + dev},
      entry_points={"console_scripts": settings["console_scripts"].splitlines(),
                    # lets other nbdev projects link to our names
                    "nbdev": ["ddpm_course = ddpm_course.site.links:d"]}) 
