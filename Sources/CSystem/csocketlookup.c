#define _GNU_SOURCE
#include "csocketlookup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(int command, union bpf_attr *attribute) {
    return (int)syscall(SYS_bpf, command, attribute, sizeof *attribute);
}

static int close_keeping_errno(int fd) {
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

// A map with one place, in which the socket is.
static int make_map(int listener) {
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof attribute);
    attribute.map_type = BPF_MAP_TYPE_SOCKMAP;
    attribute.key_size = sizeof(uint32_t);
    attribute.value_size = sizeof(uint64_t);
    attribute.max_entries = 1;
    int map = bpf(BPF_MAP_CREATE, &attribute);
    if (map < 0) return -1;
    uint32_t key = 0;
    uint64_t value = (uint64_t)listener;
    memset(&attribute, 0, sizeof attribute);
    attribute.map_fd = (uint32_t)map;
    attribute.key = (uint64_t)(uintptr_t)&key;
    attribute.value = (uint64_t)(uintptr_t)&value;
    return bpf(BPF_MAP_UPDATE_ELEM, &attribute) < 0 ? close_keeping_errno(map) : map;
}

#define INSTRUCTION(operation, to, from, offset, immediate)                                                                    \
    { .code = (operation), .dst_reg = (to), .src_reg = (from), .off = (offset), .imm = (immediate) }

// For TCP: `socket = map[0]; sk_assign(context, socket, 0); sk_release(socket)`; and the kernel goes on in any case.
static int load_program(int map) {
    const struct bpf_insn program[] = {
        INSTRUCTION(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct bpf_sk_lookup, protocol), 0),
        INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 15, IPPROTO_TCP),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
        INSTRUCTION(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
        INSTRUCTION(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
        INSTRUCTION(0, 0, 0, 0, 0), // The upper half of the instruction before.
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
        INSTRUCTION(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
        INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
        INSTRUCTION(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7, 0),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 2, 7, 0, 0),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0),
        INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_assign),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_X, 1, 7, 0, 0),
        INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_release),
        INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_PASS),
        INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof attribute);
    attribute.prog_type = BPF_PROG_TYPE_SK_LOOKUP;
    attribute.expected_attach_type = BPF_SK_LOOKUP;
    attribute.insns = (uint64_t)(uintptr_t)program;
    attribute.insn_cnt = sizeof program / sizeof *program;
    // None of the three helpers wants another licence.
    attribute.license = (uint64_t)(uintptr_t)"Apache-2.0";
    return bpf(BPF_PROG_LOAD, &attribute);
}

int cs_take_connections(int listener, int network) {
    int map = make_map(listener);
    if (map < 0) return -1;
    int program = load_program(map);
    close_keeping_errno(map);
    if (program < 0) return -1;
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof attribute);
    attribute.link_create.prog_fd = (uint32_t)program;
    attribute.link_create.target_fd = (uint32_t)network;
    attribute.link_create.attach_type = BPF_SK_LOOKUP;
    int link = bpf(BPF_LINK_CREATE, &attribute);
    close_keeping_errno(program);
    return link;
}

static int listen_at(const void *address, socklen_t size, int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int off = 0;
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, address, size) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    return close_keeping_errno(fd);
}

int cs_listen_tcp(void) {
    struct sockaddr_in6 both;
    memset(&both, 0, sizeof both);
    both.sin6_family = AF_INET6;
    int fd = listen_at(&both, sizeof both, AF_INET6);
    if (fd >= 0) return fd;
    struct sockaddr_in old;
    memset(&old, 0, sizeof old);
    old.sin_family = AF_INET;
    return listen_at(&old, sizeof old, AF_INET);
}

int cs_accept_tcp(int listener, char *address, uint32_t size, uint16_t *port) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return -1;
    union { struct sockaddr any; struct sockaddr_in old; struct sockaddr_in6 new; } wanted;
    socklen_t length = sizeof wanted;
    if (getsockname(fd, &wanted.any, &length) < 0) return close_keeping_errno(fd);
    const char *text;
    if (wanted.any.sa_family == AF_INET) {
        *port = ntohs(wanted.old.sin_port);
        text = inet_ntop(AF_INET, &wanted.old.sin_addr, address, size);
    } else {
        *port = ntohs(wanted.new.sin6_port);
        const struct in6_addr *ip = &wanted.new.sin6_addr;
        text = IN6_IS_ADDR_V4MAPPED(ip) ? inet_ntop(AF_INET, &ip->s6_addr[12], address, size)
                                        : inet_ntop(AF_INET6, ip, address, size);
    }
    return text ? fd : close_keeping_errno(fd);
}

void cs_reset_when_closed(int socket) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}
