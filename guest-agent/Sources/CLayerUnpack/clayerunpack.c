#define _GNU_SOURCE
#include "clayerunpack.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int open_in_root(int root, const char *path, unsigned flags) {
    struct open_how how = {
        .flags = flags | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

int lu_open_in_root(int root, const char *path) {
    return open_in_root(root, path, O_PATH);
}

int lu_open_readable_in_root(int root, const char *path) {
    return open_in_root(root, path, O_RDONLY | O_NOFOLLOW);
}

int lu_open_unnamed(int directory, mode_t mode) {
    return openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
}

void *lu_use_c_locale(void) {
    static locale_t c;
    locale_t mine = __atomic_load_n(&c, __ATOMIC_ACQUIRE);
    if (!mine) {
        mine = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        // glibc has one object for "C": every thread that comes here at once stores the same.
        __atomic_store_n(&c, mine, __ATOMIC_RELEASE);
    }
    return uselocale(mine);
}

void lu_restore_locale(void *previous) {
    uselocale((locale_t)previous);
}

dev_t lu_makedev(unsigned major, unsigned minor) {
    return makedev(major, minor);
}
