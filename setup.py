"Reads settings.ini, and nothing else: requirements, description and scripts live there."

from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ini = ConfigParser(delimiters=["="], interpolation=None)
ini.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
settings = ini["DEFAULT"]
setup(description=settings["description"], install_requires=settings["requirements"].split(),
      extras_require={"dev": settings["dev_requirements"].split()},
      entry_points={"console_scripts": settings["console_scripts"].split()})
