#define _GNU_SOURCE
#include "cvsockdriver.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

int cv_memory_file(void) { return memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int cv_event(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int cv_open_terminal(int *master, int *slave) {
    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0) return -1;
    char name[64];
    if (grantpt(*master) < 0 || unlockpt(*master) < 0 || ptsname_r(*master, name, sizeof name) != 0) return -1;
    *slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    if (*slave < 0 || tcgetattr(*slave, &raw) < 0) return -1;
    cfmakeraw(&raw);
    return tcsetattr(*slave, TCSANOW, &raw);
}
