from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
about = {}
exec((here / "lib" / "legacy" / "version.py").read_text(), about)

setup(
    name="legacy",
    version=about["VERSION"],
    long_description=Path("README.rst").read_text(),
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    py_modules=["legacy_main"],
    package_data={"legacy": ["*.csv"]},
    install_requires=["pyspark>=3", "attrs>=20", "colorama; platform_system=='Windows'"],
    extras_require={"fast": ["numpy"]},
    entry_points={"console_scripts": ["legacy = legacy_main:main"]},
)
