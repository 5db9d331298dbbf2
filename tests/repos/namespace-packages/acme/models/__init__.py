from acme.models.linear import slope
