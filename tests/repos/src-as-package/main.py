from src.report import title

if __name__ == '__main__':
    print(title())
