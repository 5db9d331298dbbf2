from données.été import GRÜSSE

ИТОГ = GRÜSSE
