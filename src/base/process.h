/*
 * Running programs: qemu-img, dnsmasq, and the like.
 *
 * No shell ever sees an argument. The child gets closed descriptors (but 0 to 2), default
 * signals, its own process group, and the limits asked for; when the time is up the whole
 * group is killed.
 */
#ifndef YUNDUO_BASE_PROCESS_H
#define YUNDUO_BASE_PROCESS_H

#include "base/buf.h"
#include "base/clock.h"

#include <sys/types.h>

struct process {
    const char *const *argv;        /* argv[0] is looked up in PATH; ends with null */
    const char *input;              /* to its standard input, then closed; null: /dev/null */
    size_t input_size;
    usec_t timeout;                 /* 0: a minute */
    uint64_t limit_memory;          /* RLIMIT_AS in bytes, 0: none */
    unsigned limit_cpu_seconds;     /* RLIMIT_CPU, 0: none */
    const char *netns;              /* path of a network namespace to enter first, or null */
    struct buf *output;             /* standard output, up to its max; null: thrown away */
    struct buf *errors;             /* standard error, likewise */
};

/* Runs it to its end. Returns its exit status (0 to 255), -ETIMEDOUT when it was killed for
 * time, -ECHILD when it died of a signal, -ENOENT when there is no such program, or another
 * negative errno. */
int process_run(const struct process *p);

/* Starts a long-lived one, standard streams to 'log_fd' (or /dev/null when negative); it
 * dies with nobody: the caller keeps 'ret_pid' and reaps it. netns and limits apply. */
int process_spawn(const struct process *p, int log_fd, pid_t *ret_pid);

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

#endif
