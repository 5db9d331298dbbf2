import greetings


def main():
    return greetings.greet('you')
