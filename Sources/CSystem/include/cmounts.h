// Mount trees as descriptors (Linux 5.2 and 5.12), without wrappers in glibc 2.36's Swift overlay, and a child in a user
// namespace of its own, between whose clone and exec Swift must not run.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// open_tree(2) with OPEN_TREE_CLONE: a copy, mounted nowhere, of what is mounted at `path`; everything below it too if
// `recursive`. Close-on-exec.
int cs_clone_mounts(const char *path, int recursive);
// mount_setattr(2): MOUNT_ATTR_* to set, and MS_PRIVATE or 0.
int cs_set_mount_attributes(int tree, int recursive, uint64_t set, uint64_t propagation);
// move_mount(2): mounts a tree at `path`, a symbolic link at whose end is followed or not.
int cs_attach_mounts(int tree, const char *path, int follows_link);
// unshare(2) with CLONE_FS: a working directory of the calling thread's own.
int cs_unshare_working_directory(void);

extern const uint64_t cs_mount_attribute_read_only;
// A handle on a file, which opens nothing.
extern const int cs_o_path;
// MNT_DETACH | UMOUNT_NOFOLLOW.
extern const int cs_detach_mounts;

enum { cs_most_descriptors = 8 };

// Makes a loop device of a file (LOOP_CONFIGURE, Linux 5.8), which lasts while it is mounted or open. Returns it opened, and
// its path, or -1 with errno.
int cs_attach_loop(int file, int read_only, char *path, size_t capacity);

// A child in a user namespace in which every number is itself, so that it owns what it owned and has no capability in its
// parent's, and in a mount namespace that sees what is mounted later in its parent's, where `read_only_directory` itself,
// not what is mounted below it, cannot be written to. Of the parent's descriptors it has those in `descriptors` as 0, 1,
// 2, …; signals are as at first.
struct cs_confined {
    const char *path;
    char *const *arguments;
    char *const *environment;
    const char *read_only_directory;
    int descriptors[cs_most_descriptors];
    int descriptor_count;
    // Of open descriptors, as far as the parent may give that many.
    uint64_t descriptor_limit;
};

// Returns the child's number and its pidfd once it executes the program; else -1 with errno and `*step`, a constant,
// saying what failed; nothing is left then.
pid_t cs_spawn_confined(const struct cs_confined *what, int *pidfd, const char **step);
