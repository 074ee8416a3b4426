// What unpacking a layer needs of C: libarchive and nettle, whose headers come with no module maps, and calls that
// Swift cannot import because they are variadic or declared under _GNU_SOURCE.
#pragma once
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <locale.h>
#include <nettle/sha2.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `path` as a process sees it whose root directory is `root`.
// Opens directories, close-on-exec, to name things in (O_PATH) or readable and not through a link.
int lu_open_in_root(int root, const char *path);
int lu_open_readable_in_root(int root, const char *path);

// An unnamed file with the given mode in `directory`, to learn what the process's umask leaves of a mode.
int lu_open_unnamed(int directory, mode_t mode);

// Sets the calling thread's locale to "C"; returns the one it had, for lu_restore_locale.
void *lu_use_c_locale(void);
void lu_restore_locale(void *previous);

// Device number of a major and minor number.
dev_t lu_makedev(unsigned major, unsigned minor);
