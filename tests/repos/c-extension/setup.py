from setuptools import Extension, setup

setup(ext_modules=[Extension("fastsum._sum", ["fastsum/_sum.c"], depends=["fastsum/_sum.h"], include_dirs=["fastsum"])])
