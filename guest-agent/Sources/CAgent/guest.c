#define _GNU_SOURCE
#include "cagent.h"
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/vm_sockets.h>
#include <malloc.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int ca_vsock_connect(uint32_t cid, uint32_t port) {
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    // The kernel gives up after two seconds, which a host with more guests than processors may take to answer.
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience, sizeof patience);
    struct sockaddr_vm address;
    memset(&address, 0, sizeof address);
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

int ca_uevent_socket(void) {
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    if (fd < 0) return -1;
    struct sockaddr_nl address;
    memset(&address, 0, sizeof address);
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1; // The kernel's own events, before any device manager's.
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

int ca_loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    int result = ioctl(fd, SIOCSIFFLAGS, &request);
    int code = errno;
    close(fd);
    errno = code;
    return result;
}

int ca_add_entropy(const void *bytes, size_t length) {
    if (length == 0 || length > 4096) { errno = EINVAL; return -1; }
    struct rand_pool_info *info = malloc(sizeof *info + length);
    if (!info) return -1;
    info->entropy_count = (int)length * 8;
    info->buf_size = (int)length;
    memcpy(info->buf, bytes, length);
    int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    int result = fd < 0 ? -1 : ioctl(fd, RNDADDENTROPY, info);
    // A clone's generator would otherwise go on with its template's numbers until the next reseed.
    if (result == 0) ioctl(fd, RNDRESEEDCRNG);
    int code = errno;
    if (fd >= 0) close(fd);
    free(info);
    errno = code;
    return result;
}

int ca_add_partition(int disk, int number, uint64_t offset, uint64_t length) {
    struct blkpg_partition partition = {.start = (long long)offset, .length = (long long)length, .pno = number};
    struct blkpg_ioctl_arg argument = {.op = BLKPG_ADD_PARTITION, .datalen = sizeof partition, .data = &partition};
    return ioctl(disk, BLKPG, &argument);
}

int ca_power_off(void) { return reboot(RB_POWER_OFF); }

void ca_spare_memory(void) { mallopt(M_ARENA_MAX, 1); }

pid_t ca_reap(int *status, int block) {
    pid_t pid;
    do pid = waitpid(-1, status, __WALL | (block ? 0 : WNOHANG));
    while (pid < 0 && errno == EINTR);
    return pid;
}

int ca_syncfs(int fd) { return syncfs(fd); }

int ca_attach_device_filter(int cgroup, const uint64_t *program, uint32_t count) {
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof attribute);
    attribute.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attribute.insns = (uint64_t)(uintptr_t)program;
    attribute.insn_cnt = count;
    // Calls no helper of the kernel's that would want another licence.
    attribute.license = (uint64_t)(uintptr_t)"Apache-2.0";
    int filter = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attribute, sizeof attribute);
    if (filter < 0) return -1;
    memset(&attribute, 0, sizeof attribute);
    attribute.target_fd = (uint32_t)cgroup;
    attribute.attach_bpf_fd = (uint32_t)filter;
    attribute.attach_type = BPF_CGROUP_DEVICE;
    // Groups that the container makes below may have filters of their own, beside this one.
    attribute.attach_flags = BPF_F_ALLOW_MULTI;
    int result = (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attribute, sizeof attribute);
    int code = errno;
    close(filter);
    errno = code;
    return result;
}
