#include <Python.h>
#include "_sum.h"

static PyObject *add(PyObject *self, PyObject *args)
{
    long left, right;
    (void)self;
    if (!PyArg_ParseTuple(args, "ll", &left, &right))
        return NULL;
    return PyLong_FromLong(START + left + right);
}

static PyMethodDef methods[] = {{"add", add, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_sum", NULL, -1, methods};

PyMODINIT_FUNC PyInit__sum(void) { return PyModule_Create(&module); }
