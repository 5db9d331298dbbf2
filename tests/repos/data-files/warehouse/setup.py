# no project's: data and module like any other
KIND = 'inner'
