from pathlib import Path


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    Path(wheel_directory, 'x-1-py3-none-any.whl').write_bytes(b'PK')
    return 'x-1-py3-none-any.whl'
