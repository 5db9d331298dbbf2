import built
import common

BOTH = (built.B, common.C)
