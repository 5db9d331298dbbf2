from shop.tax.rates import RATE


def gross(net):
    return round(net * (1 + RATE), 2)
