import greetings

print(greetings.greet('report'))
