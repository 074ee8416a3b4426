#define _GNU_SOURCE
#include "cvsock.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

int cv_seals(int fd) { return fcntl(fd, F_GET_SEALS); }

long cv_send(int socket, const struct iovec *vectors, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = (size_t)count};
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

long cv_receive(int socket, const struct iovec *vectors, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = (size_t)count};
    return recvmsg(socket, &message, MSG_DONTWAIT);
}

void cv_block_sigpipe(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int cv_is_terminal_multiplexer(uint64_t device) { return major(device) == 5 && minor(device) == 2; }
