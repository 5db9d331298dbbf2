from importlib.resources import files


def query():
    return files("flow.jobs").joinpath("daily.sql").read_text()
