#define _GNU_SOURCE
#include "cstreams.h"
#include <fcntl.h>

ssize_t cs_splice(int from, int to, size_t length) { return splice(from, NULL, to, NULL, length, SPLICE_F_MOVE); }
