from settings import REGION


def now():
    return REGION
