import flow

print(flow.VERSION)
