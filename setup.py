"""What pyproject.toml cannot say: the roles and templates of the checkout travel in the wheel, as data below ``kbootstrap/_assets``."""

from setuptools import find_packages, setup

ASSETS = {f"kbootstrap._assets.{name}": name for name in ("roles", "templates")}

setup(
    packages=[*find_packages(include=["kbootstrap", "kbootstrap.*"]), *ASSETS],
    package_dir=ASSETS,
    package_data={"": ["*.yml", "*.txt"], "kbootstrap.probe": ["kb-probe.*"], **{package: ["**/*.yml", "**/*.j2"] for package in ASSETS}},
)
