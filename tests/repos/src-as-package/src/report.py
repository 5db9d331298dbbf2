from src import names


def title():
    return names.TITLE
