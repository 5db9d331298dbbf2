import helpers


def main():
    return helpers.greet('you')
