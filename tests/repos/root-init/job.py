from core.a import A
