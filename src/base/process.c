/*
 * Running programs: see the header.
 *
 * Between fork() and exec() only async-signal-safe calls are made, for other threads may hold
 * any lock. Why exec() failed comes back through a close-on-exec pipe.
 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void child_limits(const struct process *p)
{
    if (p->limit_memory) {
        struct rlimit l = { p->limit_memory, p->limit_memory };
        (void)setrlimit(RLIMIT_AS, &l);
    }
    if (p->limit_cpu_seconds) {
        struct rlimit l = { p->limit_cpu_seconds, p->limit_cpu_seconds };
        (void)setrlimit(RLIMIT_CPU, &l);
    }
    struct rlimit core = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &core);
}

static void child_run(const struct process *p, int in, int out, int err, int report)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < 32; s++)
        (void)signal(s, SIG_DFL);
    (void)setpgid(0, 0);
    int error = 0;
    if (p->netns) {
        int ns = open(p->netns, O_RDONLY | O_CLOEXEC);
        if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
            error = errno;
    }
    /* All three may be above 2: they were opened with O_CLOEXEC by the parent. */
    if (!error && (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0))
        error = errno;
    if (!error) {
        child_limits(p);
        (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
        execvp(p->argv[0], (char *const *)(uintptr_t)p->argv);
        error = errno;
    }
    (void)!write(report, &error, sizeof(error));
    _exit(127);
}

struct pipes { int fd[2]; };

static void pipes_done(struct pipes *p)
{
    closep(&p->fd[0]);
    closep(&p->fd[1]);
}

#define NO_PIPE ((struct pipes){ { -1, -1 } })

static int start(const struct process *p, int in, int out, int err, pid_t *ret)
{
    _cleanup_(pipes_done) struct pipes report = NO_PIPE;
    if (pipe2(report.fd, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        child_run(p, in, out, err, report.fd[1]);
    (void)close(TAKE_FD(report.fd[1]));
    int error = 0;
    ssize_t n;
    do
        n = read(report.fd[0], &error, sizeof(error));
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(error)) {
        (void)waitpid(pid, NULL, 0);
        return -error;
    }
    *ret = pid;
    return 0;
}

/* Moves what is ready between us and the child. Returns false when both outputs are closed. */
static void read_some(int *fd, struct buf *into)
{
    char chunk[16384];
    ssize_t n = read(*fd, chunk, sizeof(chunk));
    if (n > 0) {
        if (into)
            buf_add(into, chunk, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        (void)close(TAKE_FD(*fd));
    }
}

/* A child that reads no further must not end us with a signal. */
static ssize_t write_quietly(int fd, const void *data, size_t n)
{
    sigset_t pipe, pending, old;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool before = sigismember(&pending, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &old);
    ssize_t w = write(fd, data, n);
    int saved = errno;
    if (w < 0 && saved == EPIPE && !before)
        (void)sigtimedwait(&pipe, NULL, &(struct timespec){ 0 });
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return w;
}

static int pump(const struct process *p, struct pipes *in, struct pipes *out, struct pipes *err, usec_t deadline)
{
    size_t sent = 0;
    while (out->fd[0] >= 0 || err->fd[0] >= 0) {
        struct pollfd polls[3] = {
            { out->fd[0], POLLIN, 0 },
            { err->fd[0], POLLIN, 0 },
            { in->fd[1], POLLOUT, 0 },
        };
        usec_t left = deadline - clock_mono();
        if (left <= 0)
            return -ETIMEDOUT;
        int n = poll(polls, 3, (int)(left / 1000) + 1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n <= 0)
            continue;
        if (polls[0].revents)
            read_some(&out->fd[0], p->output);
        if (polls[1].revents)
            read_some(&err->fd[0], p->errors);
        if (polls[2].revents) {
            ssize_t w = write_quietly(in->fd[1], p->input + sent, p->input_size - sent);
            if (w > 0)
                sent += (size_t)w;
            if ((w < 0 && errno != EAGAIN && errno != EINTR) || sent == p->input_size)
                (void)close(TAKE_FD(in->fd[1]));
        }
    }
    return 0;
}

static int reap(pid_t pid, usec_t deadline, int *ret_status)
{
    for (;;) {
        pid_t got = waitpid(pid, ret_status, WNOHANG);
        if (got == pid)
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (clock_mono() > deadline)
            return -ETIMEDOUT;
        (void)poll(NULL, 0, 1);
    }
}

int process_run(const struct process *p)
{
    _cleanup_(pipes_done) struct pipes in = NO_PIPE;
    _cleanup_(pipes_done) struct pipes out = NO_PIPE;
    _cleanup_(pipes_done) struct pipes err = NO_PIPE;
    _cleanup_(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(out.fd, O_CLOEXEC) < 0 || pipe2(err.fd, O_CLOEXEC) < 0)
        return -errno;
    if (p->input && pipe2(in.fd, O_CLOEXEC) < 0)
        return -errno;
    usec_t deadline = clock_mono() + (p->timeout ? p->timeout : MINUTES(1));
    pid_t pid;
    int r = start(p, p->input ? in.fd[0] : null, out.fd[1], err.fd[1], &pid);
    if (r < 0)
        return r;
    (void)close(TAKE_FD(out.fd[1]));
    (void)close(TAKE_FD(err.fd[1]));
    if (p->input) {
        (void)close(TAKE_FD(in.fd[0]));
        (void)fcntl(in.fd[1], F_SETFL, O_NONBLOCK);
    }
    int status = 0;
    r = pump(p, &in, &out, &err, deadline);
    if (r == 0)
        r = reap(pid, deadline, &status);
    if (r < 0) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return r;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

int process_spawn(const struct process *p, int log_fd, pid_t *ret_pid)
{
    _cleanup_(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -errno;
    int log = log_fd >= 0 ? log_fd : null;
    return start(p, null, log, log, ret_pid);
}
