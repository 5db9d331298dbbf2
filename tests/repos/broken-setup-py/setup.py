import setuptools

print('about to fail')
raise RuntimeError('this setup.py is broken')
