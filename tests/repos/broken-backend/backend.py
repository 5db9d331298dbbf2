import sys


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print('half a wheel', file=sys.stderr)
    sys.exit('the backend gave up')
