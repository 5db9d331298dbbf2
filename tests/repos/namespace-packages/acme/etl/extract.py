from importlib.resources import files


def countries():
    return files("acme.etl").joinpath("countries.csv").read_text().split()
