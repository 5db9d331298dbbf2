import helpers

print(helpers.greet('report'))
