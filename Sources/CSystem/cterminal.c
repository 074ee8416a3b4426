#include "cterminal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios kept;
static int terminal = -1;
static volatile sig_atomic_t raw;

void cs_terminal_restore(void) {
    if (!raw) return;
    raw = 0;
    // From the background, tcsetattr would stop the process with SIGTTOU.
    sigset_t output, before;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &output, &before);
    tcsetattr(terminal, TCSADRAIN, &kept);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void fatal(int signal) {
    cs_terminal_restore();
    // SA_RESETHAND: this one ends the process, as it would have.
    raise(signal);
}

int cs_terminal_make_raw(int fd) {
    if (terminal < 0) {
        const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
        struct sigaction action = {.sa_handler = fatal, .sa_flags = SA_RESETHAND | SA_NODEFER};
        for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
        atexit(cs_terminal_restore);
    }
    struct termios settings;
    if (tcgetattr(fd, &settings) < 0) return -1;
    if (!raw) kept = settings;
    terminal = fd;
    cfmakeraw(&settings);
    raw = 1;
    if (tcsetattr(fd, TCSADRAIN, &settings) == 0) return 0;
    raw = 0;
    return -1;
}
