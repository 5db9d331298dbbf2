import flow
