#define START 0L
