# -*- coding: latin-1 -*-
TEXT = "déjà vu"
