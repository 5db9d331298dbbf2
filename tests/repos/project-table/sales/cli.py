def main():
    return 0


def read():
    return []
